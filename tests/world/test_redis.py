"""Two servers share their counts in Debian's Redis."""

import httpx2
import pytest

from tests.databases import Databases
from tests.world.services.redis import redis
from tests.world.services.server import API, migrate, rowhouse

pytestmark = pytest.mark.xdist_group("redis")


def test_two_servers_count_failed_logins_together(databases: Databases) -> None:
    """Wrong passwords at one count at the other, which answers 429 with `Retry-After`."""
    url = databases.empty("postgresql")
    migrate(url)
    with redis() as storage:
        counted = {"RATE_LIMIT_STORAGE_URL": storage, "LOGIN_FAILURES_PER_ADDRESS": "4"}
        with rowhouse(url, settings=counted) as one, rowhouse(url, settings=counted) as other:
            wrong = {"username": "nobody@example.com", "password": "wrong-password"}
            answers = [
                httpx2.post(f"{server.url}{API}/auth/login", data=wrong)
                for server in (one, other, one, other, one, other)
            ]
    assert [answer.status_code for answer in answers] == [401] * 4 + [429] * 2
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers[4:])
