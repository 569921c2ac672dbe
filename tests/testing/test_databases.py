"""The wheel's PostgreSQL: a cluster of its own, with an ordinary role."""

import psycopg

from rowhouse.testing.databases import WheelServer


def test_a_cluster_begins_and_ends() -> None:
    """Its role may do nothing but use its own databases; what the tests need not survive is not synchronized."""
    wheel = WheelServer()
    try:
        wheel.execute("CREATE DATABASE mine OWNER app")
        with psycopg.connect(wheel.url("mine").replace("+psycopg", "")) as connection:
            row = connection.execute(
                "SELECT current_setting('fsync'), current_user, rolsuper FROM pg_roles WHERE rolname = current_user"
            )
            assert row.fetchone() == ("off", "app", False)
    finally:
        wheel.close()
    assert not wheel._directory.exists()
