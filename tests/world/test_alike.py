"""SQLite, PostgreSQL 15 with and without ICU, 16 and 18 return the same responses byte for byte, with any settings."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

import pytest
from pydantic import SecretStr

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.odd.base import metadata
from tests.sample_entities.odd.registry import create_tables, registry
from tests.world import hostile_settings
from tests.world.conversation import Answer, speak
from tests.world.services.pgbouncer import pgbouncer
from tests.world.services.postgresql import ICU, C, postgresql, set_for_database, set_for_role
from tests.world.services.wheels import postgresql_16

SHOWN = 8  # differences that an error shows
AT_LEAST = 700  # requests that succeed
pytestmark = pytest.mark.xdist_group("alike")


def answers(url: str, *, direct_url: str | None = None, environment: Mapping[str, str] | None = None) -> list[Answer]:
    """What the script is answered on an empty database."""
    engine = create_engine(Settings(database_url=direct_url or url))
    with engine.begin() as connection:
        create_tables(connection)
    engine.dispose()
    settings = Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=SecretStr(ADMIN_PASSWORD), **QUIET)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        with QuickClient(create_app(settings, registry, metadata)) as client:
            return speak(client)


@pytest.fixture(scope="module")
def on_sqlite(databases: Databases) -> list[Answer]:
    """What everybody else is compared with."""
    return answers(databases.empty("sqlite"))


@contextmanager
def fifteen_icu() -> Iterator[list[Answer]]:
    """Debian's, with an ICU locale."""
    with postgresql(*ICU) as cluster:
        yield answers(cluster.create_database("alike"))


@contextmanager
def fifteen_c_hostile_role() -> Iterator[list[Answer]]:
    """Debian's without a locale.

    Everything that changes answers is set for the role, and in the server's environment.
    """
    with postgresql(*C) as cluster:
        set_for_role(cluster, hostile_settings.STORED)
        yield answers(cluster.create_database("alike"), environment=hostile_settings.ENVIRONMENT)


@contextmanager
def fifteen_icu_hostile_database() -> Iterator[list[Answer]]:
    """Debian's; everything that changes answers is set for the database, otherwise than in the role's case."""
    with postgresql(*ICU) as cluster:
        url = cluster.create_database("alike")
        set_for_database(cluster, hostile_settings.STORED_OTHERWISE, databases=["alike"])
        yield answers(url)


@contextmanager
def fifteen_in_latin1() -> Iterator[list[Answer]]:
    """Debian's in UTF-8, for a client whose environment says that it speaks Latin 1."""
    with postgresql(*ICU) as cluster:
        yield answers(cluster.create_database("alike"), environment={"PGCLIENTENCODING": "LATIN1"})


@contextmanager
def fifteen_behind_pgbouncer(mode: str) -> Iterator[list[Answer]]:
    """Behind PgBouncer, whose server connections meet a hostile role."""
    with postgresql(*ICU) as cluster, pgbouncer(cluster, mode=mode) as pooler:
        direct = cluster.create_database("alike")
        set_for_role(cluster, hostile_settings.STORED)
        yield answers(pooler.url("alike"), direct_url=direct)


@contextmanager
def sixteen() -> Iterator[list[Answer]]:
    """The older wheel's."""
    with postgresql_16() as wheel:
        wheel.execute("CREATE DATABASE alike OWNER app")
        yield answers(wheel.url("alike"))


SERVERS: dict[str, Callable[[], AbstractContextManager[list[Answer]]]] = {
    "15-icu": fifteen_icu,
    "15-c-hostile-role": fifteen_c_hostile_role,
    "15-icu-hostile-database": fifteen_icu_hostile_database,
    "15-latin1-client": fifteen_in_latin1,
    "15-pgbouncer-session": lambda: fifteen_behind_pgbouncer("session"),
    "15-pgbouncer-transaction": lambda: fifteen_behind_pgbouncer("transaction"),
    "16": sixteen,
}


def test_eighteen_answers_as_sqlite_does(on_sqlite: list[Answer], databases: Databases) -> None:
    """The wheel's PostgreSQL, and enough was asked to say so."""
    assert sum(answer.status < 300 for answer in on_sqlite) >= AT_LEAST
    compare(on_sqlite, answers(databases.empty("postgresql")))


@pytest.mark.parametrize("server", SERVERS)
def test_every_postgresql_answers_as_sqlite_does(on_sqlite: list[Answer], server: str) -> None:
    """Each version, locale, set of settings and way to it."""
    with SERVERS[server]() as found:
        compare(on_sqlite, found)


def compare(wanted: list[Answer], found: list[Answer]) -> None:
    """Fail with the first differences."""
    pairs = itertools.zip_longest(wanted, found)
    differences = [f"wanted {one}\n found {other}" for one, other in pairs if one != other]
    assert not differences, f"{len(differences)} of {len(wanted)} differ:\n" + "\n".join(differences[:SHOWN])
