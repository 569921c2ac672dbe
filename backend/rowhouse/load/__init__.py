"""Load every operation of a project: `rowhouse load`, or `locust -f perf/locustfile.py`.

    from rowhouse.load import Profile
    from rowhouse.load.locust_user import locust_user

    ApiUser = locust_user(Profile())

A `Profile` says what neither the OpenAPI document nor the tables say; most projects need an empty one. The extra `load`
installs Locust.
"""

from rowhouse.load.profile import Profile, load_profile

__all__ = ["Profile", "load_profile"]
