"""A key with a constant default: clients name it, for the default alone would allow one row."""

from collections.abc import Iterator
from datetime import date
from enum import StrEnum
from typing import Annotated

import pytest
import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.entities.model import READ_ONLY
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()


class Bare(SQLModel, registry=sa.orm.registry(metadata=metadata)):
    """A table without columns of its own."""


class Grade(StrEnum):
    """The words of a key."""

    A = "a"
    B = "b"


class Depot(Bare, table=True):
    """One part of the key has a default."""

    region: str = Field(default="eu", primary_key=True, max_length=5)
    number: int = Field(primary_key=True)
    size: int = 0


class Language(Bare, table=True):
    """The database has the default too."""

    code: str | None = Field(
        default=None, sa_column=sa.Column(sa.String(5), primary_key=True, server_default="en"), max_length=5
    )
    size: int = 0


class Shade(Bare, table=True):
    """SQLAlchemy has the default."""

    grade: Grade = Field(default=Grade.A, primary_key=True)
    place: str | None = Field(default=None, sa_column=sa.Column(sa.String(5), primary_key=True, default="hall"))


class Today(Bare, table=True):
    """Rows of other days get other keys: the server makes this one."""

    day: date = Field(default_factory=date.today, primary_key=True)
    size: int = 0


class Fixed(Bare, table=True):
    """Nobody could create a second row."""

    code: Annotated[str, READ_ONLY] = Field(default="en", primary_key=True, max_length=5)


@pytest.fixture
def client(backend: str, databases: Databases) -> Iterator[QuickClient]:
    """A client of the classes above."""
    settings = Settings(database_url=databases.empty(backend), **QUIET)
    engine = create_engine(settings)
    metadata.create_all(engine)
    engine.dispose()
    registry = Registry("/api/v1")
    for model in (Depot, Language, Shade, Today):
        registry.register(model, read=ANYONE, write=ANYONE, history=True, soft_delete=True)
    with QuickClient(create_app(settings, registry, metadata)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("path", "body", "without", "given"),
    [
        ("depots", {"region": "us", "number": 1}, "eu,1", "us,1"),
        ("languages", {"code": "fr"}, "en", "fr"),
        ("shades", {"grade": "b", "place": "attic"}, "a,hall", "b,attic"),
    ],
)
def test_clients_name_a_key_that_has_a_default(
    client: QuickClient, path: str, body: dict[str, object], without: str, given: str
) -> None:
    """Or leave it out, once."""
    rows = f"/api/v1/{path}"
    least = {"number": 1} if path == "depots" else {}
    created = [client.post(rows, json=one) for one in (body, least)]
    assert [one.headers["Location"] for one in created] == [f"{rows}/{given}", f"{rows}/{without}"]
    assert client.post(rows, json=least).json()["code"] == "duplicate"
    assert client.delete(f"{rows}/{given}").status_code == 204
    assert client.post(f"{rows}/{given}/restore").json() == created[0].json()
    if path != "shades":
        changed = client.put(f"{rows}/{without}", json={"size": 3})
        assert (changed.status_code, changed.json()["size"]) == (200, 3)


def test_a_key_that_differs_is_made_by_the_server(client: QuickClient) -> None:
    """A function makes it."""
    assert client.post("/api/v1/todays", json={"day": "2030-01-31"}).json()["errors"][0]["type"] == "extra_forbidden"
    assert client.post("/api/v1/todays", json={}).status_code == 201


def test_a_constant_key_that_no_client_sets_is_refused() -> None:
    """There would be one row."""
    with pytest.raises(RegistrationError, match=r"Fixed\.code is a key that nobody sets"):
        Registry("/api/v1").register(Fixed, read=ANYONE, write=ANYONE)
