"""`scripts/run` on an empty PostgreSQL that belongs to an ordinary role, directly and through a pooler."""

from collections.abc import Iterator

import pytest

from tests.clones import Clone, cloned
from tests.world.conftest import Figure
from tests.world.services.pgbouncer import pgbouncer
from tests.world.services.postgresql import ICU, C, Cluster, postgresql

pytestmark = pytest.mark.xdist_group("run")
LOCALES = {"icu": ICU, "c": C}
AS_WRITTEN = "DATABASE_URL=postgresql+psycopg://user:password@host/name scripts/run"


@pytest.fixture(scope="module")
def clone() -> Iterator[Clone]:
    """A fresh clone."""
    with cloned() as made:
        yield made


def start_twice(clone: Clone, url: str) -> list[float]:
    """Start it twice, look at books each time; the seconds until each was ready. The tree is as it was."""
    seconds = []
    for _ in range(2):
        with clone.started(AS_WRITTEN.replace("postgresql+psycopg://user:password@host/name", url)) as server:
            seconds.append(server.seconds)
            answer = clone.run(f"curl -sf '{clone.url}/api/v1/books?search=werther'")
            assert "Werther" in answer.stdout, server.output()
        assert clone.changes() == "", server.output()
    return seconds


def with_password(cluster: Cluster) -> str:
    """The URL of a new database whose owner has a password and no other right."""
    cluster.execute("CREATE ROLE \"user\" LOGIN PASSWORD 'password' NOSUPERUSER NOCREATEDB NOCREATEROLE")
    cluster.execute('CREATE DATABASE name OWNER "user"')
    return f"postgresql+psycopg://user:password@127.0.0.1:{cluster.port}/name"


@pytest.mark.parametrize("locale", LOCALES)
def test_it_starts_on_an_empty_postgresql_twice(clone: Clone, figure: Figure, locale: str) -> None:
    """Ready within a minute, twice, and `git status` finds nothing."""
    with postgresql(*LOCALES[locale]) as cluster:
        seconds = start_twice(clone, with_password(cluster))
    figure(
        f"scripts/run on an empty PostgreSQL 15 ({locale}): ready after {seconds[0]:.1f} s, and again {seconds[1]:.1f} s"
    )


def test_a_postgres_url_works(clone: Clone) -> None:
    """`postgres://`, as hosts hand it out."""
    with postgresql(*ICU) as cluster:
        start_twice(clone, with_password(cluster).replace("postgresql+psycopg://", "postgres://"))


def test_it_starts_through_pgbouncer(clone: Clone) -> None:
    """In transaction mode, with its default settings."""
    with postgresql(*ICU) as cluster, pgbouncer(cluster, mode="transaction") as pooler:
        cluster.create_database("name")
        start_twice(clone, pooler.url("name"))
