"""Classes of tables that others made: padded keys, instants without a fraction, and `updated_at` as an ordinary column."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlmodel import Field, SQLModel
from starlette.testclient import TestClient

from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.entities.model import UPDATED_AT, Adopted
from rowhouse.migrations.engine_tables import ENGINE, is_compared
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from rowhouse.testing.running_app import create_adopted
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()
SECONDS = sqlite.DATETIME


class Base(Adopted, registry=sa.orm.registry(metadata=metadata)):
    """`Adopted` in a metadata of its own."""


class Country(Base, table=True):
    """A key that PostgreSQL pads, and instants as `CURRENT_TIMESTAMP` writes them."""

    __table_args__ = ({"schema": "world"},)

    code: str = Field(primary_key=True, max_length=3, sa_type=sa.CHAR(3))
    region: str | None = Field(default=None, max_length=9, sa_type=sa.CHAR(9))
    seen: datetime | None = Field(default=None, sa_type=SECONDS)
    updated_at: datetime | None = None


class Note(Base, table=True):
    """A timestamp that a mark gives to the server."""

    id: int | None = Field(default=None, primary_key=True)
    code: str | None = Field(default=None, foreign_key="world.country.code", sa_type=sa.CHAR(3))
    seen: datetime | None = Field(default=None, sa_type=SECONDS)
    updated_at: Annotated[datetime, UPDATED_AT] = datetime(2020, 1, 1, tzinfo=UTC)


class OwnBase(SQLModel, registry=sa.orm.registry(metadata=metadata)):
    """The project's own classes."""


class Own(OwnBase, table=True):
    """A table of the project."""

    id: int | None = Field(default=None, primary_key=True)


def registry() -> Registry:
    """Both entities, written by anyone."""
    made = Registry("/api/v1")
    made.register(Country, read=ANYONE, write=ANYONE, search=("region",))
    made.register(Note, read=ANYONE, write=ANYONE)
    return made


@pytest.fixture(scope="module")
def client(backend: str, databases: Databases) -> Iterator[TestClient]:
    """An application whose tables are as `char(n)` is on PostgreSQL."""
    url = databases.prepared(backend, "adopted_classes", make)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry(), metadata=metadata)) as made:
        yield made


def make(connection: sa.Connection) -> None:
    """Make the tables, the padded columns as another program would."""
    create_adopted(metadata, connection)
    metadata.create_all(connection)
    if connection.dialect.name == "postgresql":
        for table, column, length in (
            ("note", "code", 3),
            ("world.country", "code", 3),
            ("world.country", "region", 9),
        ):
            if table == "note":
                connection.execute(sa.text("ALTER TABLE note DROP CONSTRAINT fk_note_code_country"))
            connection.execute(sa.text(f"ALTER TABLE {table} ALTER {column} TYPE char({length})"))


def test_padded_text_has_no_blanks(client: TestClient) -> None:
    """In keys, filters, searches, cursors and batches; a text that is too long is no other one."""
    for code, region in (("FR", "West"), ("DEU", None), ("A", "East")):
        made = client.put(f"/api/v1/countries/{code}", json={"region": region})
        assert (made.status_code, made.json()["code"], made.json()["region"]) == (201, code, region)
    assert client.get("/api/v1/countries/FR").json()["region"] == "West"
    for query in (
        "code=A",
        "code__in=A,X",
        "region__endswith=t&code__lt=B",
        "search=EAS",
        "region=East",
        "region__gt=B&code=A",
    ):
        assert [row["code"] for row in client.get(f"/api/v1/countries?{query}").json()["items"]] == ["A"], query
    assert client.get("/api/v1/countries?code=DEUX").json()["total"] == 0
    first = client.get("/api/v1/countries?sort=region&size=1").json()
    rest = client.get("/api/v1/countries", params={"cursor": first["next_cursor"], "size": 9}).json()["items"]
    assert [row["code"] for row in first["items"] + rest] == ["A", "FR", "DEU"]
    assert client.patch("/api/v1/countries/batch", json=[{"code": "A", "region": "x"}]).json()[0]["region"] == "x"
    assert client.post("/api/v1/countries", json={"code": "FR"}).status_code == 409
    note = client.post("/api/v1/notes", json={"code": "FR"}).json()
    assert client.get(f"/api/v1/notes/{note['id']}?expand=country").status_code == 422  # the column is no `..._id`
    assert client.get("/api/v1/countries/FR?expand=notes").json()["notes"] == [note]
    assert client.get("/api/v1/countries?notes__id__gte=1").json()["total"] == 1


def test_instants_without_a_fraction(client: TestClient) -> None:
    """They are compared as they are stored, and a fraction is cut."""
    row = client.put("/api/v1/countries/S", json={"seen": "2030-01-02T03:04:05Z"}).json()
    assert row["seen"] == "2030-01-02T03:04:05Z"
    for query in ("seen=2030-01-02T03:04:05Z", "seen__lte=2030-01-02T04:04:05%2B01:00"):
        assert [row["code"] for row in client.get(f"/api/v1/countries?{query}").json()["items"]] == ["S"]
    with client.app.state.database.engine.connect() as connection:  # type: ignore[attr-defined]  # FastAPI's
        stored = connection.execute(
            sa.select(sa.cast(sa.literal_column("seen"), sa.String)).select_from(Country)
        ).scalars()
        assert "2030-01-02 03:04:05" in [*stored]


def test_updated_at_is_an_ordinary_column(client: TestClient) -> None:
    """Others change the row without it, so the entity tag follows from the values. A mark gives it to the server."""
    tag = client.put("/api/v1/countries/U", json={"updated_at": "2030-01-01T00:00:00Z"}).headers["etag"]
    changed = client.patch("/api/v1/countries/U", json={"region": "x"})
    assert changed.json()["updated_at"] == "2030-01-01T00:00:00Z"
    assert changed.headers["etag"] != tag
    assert client.post("/api/v1/notes", json={"updated_at": "2030-01-01T00:00:00Z"}).status_code == 422
    assert client.post("/api/v1/notes", json={}).json()["updated_at"] > "2026"


def test_no_warning_advises_to_index_it() -> None:
    """The indexes of an adopted table are not the project's."""
    assert registry().missing_indexes() == []


def test_migrations_leave_it_alone() -> None:
    """And tables without a class, which another program may have made; the engine's branch sees its own tables."""
    compares, of_engine = is_compared(metadata), is_compared(metadata, ENGINE)
    names = ("world.country", "note", "own", "unknown", "users")
    assert [name for name in names if compares(name)] == ["own", "users"]  # these models declare their own accounts
    assert [name for name in names if of_engine(name)] == []
    others = new_metadata()
    assert is_compared(others)("unknown")


def test_what_only_adopted_tables_have_is_read_in_its_own_way() -> None:
    """Padded text, and SQLite's instants without a fraction."""

    class Stamp(Base, table=True):
        id: int | None = Field(default=None, primary_key=True)
        code: str = Field(sa_type=sa.CHAR(3))
        seen: datetime | None = Field(default=None, sa_type=SECONDS)

    types = {column.name: type(column.type).__name__ for column in metadata.tables["stamp"].columns}
    assert types == {"id": "Integer", "code": "PaddedText", "seen": "InstantWithoutZone"}


def test_adopted_tables_of_one_name_are_registered_once() -> None:
    """The message names the option that reads one schema."""

    class Scratch(Adopted, registry=sa.orm.registry(metadata=new_metadata())):
        """A metadata that no other test sees."""

    class Pet(Scratch, table=True):
        """A table of one schema."""

        __tablename__ = "pets"
        __table_args__ = ({"schema": "audit"},)
        id: int | None = Field(default=None, primary_key=True)

    class PetRow(Scratch, table=True):
        """A table of another one."""

        __tablename__ = "pets"
        __table_args__ = ({"schema": "clinic"},)
        id: int | None = Field(default=None, primary_key=True)

    made = Registry("/api/v1")
    for model in (Pet, PetRow):
        made.register(model, read=ANYONE, write=ANYONE)
    with pytest.raises(RegistrationError, match="register one of them; rowhouse adopt --schema clinic reads one"):
        create_app(Settings(**QUIET), made, Scratch.metadata)
