"""The load test of every operation: `locust -f perf/locustfile.py --host http://127.0.0.1:8000`.

Run it with the web page, or with `--headless -u 20 -r 10 -t 30s`; `--processes 2` distributes it. It writes: use a
migrated database without rows worth keeping, and a server that has an administrator. ADMIN_EMAIL and ADMIN_PASSWORD
name the administrator; those of the profile are the default.

LOAD_PROFILE names the profile with the rules of the API; the product's is the default. `rowhouse.load.locust_user` says
what the users do. Thresholds and reports are those of `scripts/perf`, which runs this file.
"""

import os

from perf.product import PROFILE_VARIABLE, default_profile
from rowhouse.load import load_profile
from rowhouse.load.locust_user import locust_user

ApiUser = locust_user(load_profile(os.environ.get(PROFILE_VARIABLE, default_profile())))
