"""Columns as projects with SQLModel write them: clocks of the database, UUIDs of PostgreSQL, restricted deletes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Optional
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlmodel import Field, Relationship

from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.entities.model import UPDATED_AT, IntegerKey, PortableTable
from rowhouse.registration.registry import Registry
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata, arrays = new_metadata(), new_metadata()
KEY = "00000000-0000-4000-8000-000000000001"


class Bare(PortableTable, registry=sa.orm.registry(metadata=metadata)):
    """A table without timestamps."""


class OnPostgreSQL(PortableTable, registry=sa.orm.registry(metadata=arrays)):
    """A table for PostgreSQL."""


def _instant(**options: Any) -> Any:
    return sa.Column(sa.DateTime(timezone=True), nullable=False, **options)


class Mood(StrEnum):
    """The words of a column with a check constraint."""

    GOOD = "good"


class Team(IntegerKey, Bare, table=True):
    """The class of SQLModel's tutorial, which nobody may delete under its heroes."""

    changed: Annotated[datetime, UPDATED_AT] = Field(default_factory=datetime.now)
    heroes: list["Hero"] = Relationship(back_populates="team", passive_deletes="all")


class Hero(IntegerKey, Bare, table=True):
    """The other class of the tutorial."""

    team_id: int | None = Field(default=None, foreign_key="teams.id", ondelete="RESTRICT", index=True)
    team: Optional["Team"] = Relationship(back_populates="heroes")


class Visit(Bare, table=True):
    """A key and a reference of PostgreSQL's UUIDs, and instants that the database's clock fills."""

    id: UUID = Field(default_factory=uuid4, sa_column=sa.Column(postgresql.UUID(as_uuid=True), primary_key=True))
    # SQLite would read this one as a number, and return the other as a text.
    guest: UUID | None = Field(default=None, sa_column=sa.Column(sa.UUID, index=True))
    host: UUID | None = Field(default=None, sa_column=sa.Column(sa.Uuid(as_uuid=False), index=True))
    began: datetime | None = Field(default=None, sa_column=_instant(server_default=sa.func.now()))
    seen: datetime | None = Field(default=None, sa_column=_instant(default=sa.func.current_timestamp()))
    ended: datetime | None = Field(
        default=None, sa_column=_instant(server_default=sa.text("CURRENT_TIMESTAMP"), onupdate=sa.func.now())
    )
    # The server sets it, so the defaults of its class do not count.
    updated_at: datetime = Field(default_factory=datetime.now, sa_column_kwargs={"onupdate": datetime.now})
    mood: Mood | None = Field(
        default=None,
        sa_column=sa.Column(
            sa.Enum(
                Mood,
                native_enum=False,
                create_constraint=True,
                name="moods",
                values_callable=lambda kind: [member.value for member in kind],
            )
        ),
    )


class Log(IntegerKey, OnPostgreSQL, table=True):
    """Instants in an array."""

    at: list[datetime] = Field(sa_type=postgresql.ARRAY(sa.DateTime(timezone=True)))


@pytest.fixture(scope="module")
def client(backend: str, databases: Databases) -> Iterator[QuickClient]:
    """A client of the classes above."""
    registry = Registry()
    for model in (Team, Hero, Visit):
        registry.register(model, read=ANYONE, write=ANYONE)
    with opened(databases.empty(backend), registry, metadata) as found:
        yield found


def opened(url: str, registry: Registry, tables: sa.MetaData) -> QuickClient:
    """Create the tables, and return a client."""
    engine = create_engine(Settings(database_url=url))
    tables.create_all(engine)
    engine.dispose()
    return QuickClient(create_app(Settings(database_url=url, **QUIET), registry, tables))


def test_a_restricted_delete_is_a_conflict(client: QuickClient) -> None:
    """ON DELETE RESTRICT has an error of its own on PostgreSQL 18 and on SQLite."""
    team = client.post("/api/v1/teams", json={}).headers["Location"]
    assert client.post("/api/v1/heros", json={"team_id": int(team.rpartition("/")[2])}).status_code == 201
    refused = client.delete(team)
    assert (refused.status_code, refused.json()["code"]) == (409, "still_referenced")


@pytest.mark.parametrize("name", ["began", "seen", "ended"])
def test_instants_of_the_databases_clock_are_found_and_walked(client: QuickClient, name: str) -> None:
    """SQLite's own clock writes a text without a fraction, which sorts before every other text of that second."""
    before = datetime.now(UTC)
    keys = {client.post("/api/v1/visits", json={}).json()["id"] for _ in range(3)}
    row = client.post("/api/v1/visits", json={}).json()
    keys.add(row["id"])
    assert abs(datetime.fromisoformat(row[name]) - before).total_seconds() < 60
    for query in ({name: row[name]}, {f"{name}__in": row[name]}, {f"{name}__between": f"{row[name]},{row[name]}"}):
        assert row["id"] in [one["id"] for one in client.get("/api/v1/visits", params=query).json()["items"]]
    page = client.get("/api/v1/visits", params={"sort": name, "size": 1}).json()
    found = [one["id"] for one in page["items"]]
    while page["next_cursor"]:
        page = client.get("/api/v1/visits", params={"cursor": page["next_cursor"], "size": 1}).json()
        found += [one["id"] for one in page["items"]]
    assert keys <= {*found}


def test_an_update_moves_the_instants_of_onupdate(client: QuickClient) -> None:
    """The others stay."""
    made = client.post("/api/v1/visits", json={"mood": "good"})
    row = client.patch(made.headers["Location"], json={"guest": KEY}).json()
    assert (row["guest"], row["mood"], row["began"]) == (KEY, "good", made.json()["began"])
    assert row["ended"] > made.json()["ended"]
    assert row["ended"] in [
        one["ended"] for one in client.get("/api/v1/visits", params={"ended": row["ended"]}).json()["items"]
    ]


def test_uuids_of_postgresql_work_on_both_databases(client: QuickClient) -> None:
    """`sa.UUID` exists on PostgreSQL only, and `as_uuid=False` returns texts."""
    made = client.post("/api/v1/visits", json={"guest": KEY, "host": KEY})
    assert (made.status_code, made.json()["guest"], made.json()["host"]) == (201, KEY, KEY)
    assert client.get(made.headers["Location"]).json() == made.json()
    for name in ("guest", "host"):
        assert made.json() in client.get("/api/v1/visits", params={name: KEY, "sort": f"-{name}"}).json()["items"]


def test_instants_in_an_array(databases: Databases) -> None:
    """They are instants as those of a column."""
    registry = Registry()
    registry.register(Log, read=ANYONE, write=ANYONE, soft_delete=True)
    with opened(databases.empty("postgresql"), registry, arrays) as client:
        made = client.post("/api/v1/logs", json={"at": ["2030-01-31T12:00:00+05:00"]})
        assert made.json()["at"] == ["2030-01-31T07:00:00Z"]
        where = made.headers["Location"]
        assert client.delete(where).status_code == 204
        assert client.post(f"{where}/restore").json() == made.json()
