"""Classes made at random from columns and words: each is refused with a sentence, or keeps the contract.

A longer run over other classes: CLASSES=200 CLASSES_SEED=$RANDOM
.venv/bin/python -m pytest tests/crud/test_random_classes.py
"""

import os
from collections.abc import Callable
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as some
from sqlmodel import Field, SQLModel

from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

CLASSES = int(os.environ.get("CLASSES", "3"))
SEED = int(os.environ.get("CLASSES_SEED", "20261128"))
PATH = "/api/v1/made-ups"
AT, LATER = "2030-01-31T07:00:00Z", "2031-01-31T07:00:00Z"


class Colour(StrEnum):
    """Words."""

    RED, BLUE = "red", "blue"


class Level(IntEnum):
    """Numbers with names."""

    LOW, HIGH = 1, 2


class Kind(NamedTuple):
    """A column: its type in Python and in the database, and two values in JSON. Without a type it is refused."""

    annotation: Any
    stored: Callable[[], Any]
    values: tuple[Any, Any]
    is_comparable: bool = True
    is_refused: bool = False


KINDS = {
    "text": Kind(str, sa.Text, ("a,b", "'=Ä")),
    "string": Kind(str, lambda: sa.String(9), ("a", "b")),
    "integer": Kind(int, sa.Integer, (1, -2)),
    "money": Kind(float, lambda: sa.Numeric(8, 2), (1.25, 2)),
    "double": Kind(float, sa.Double, (0.1, 1e9)),
    "truth": Kind(bool, sa.Boolean, (True, False)),
    "instant": Kind(datetime, lambda: sa.DateTime(timezone=True), (AT, LATER)),
    "moment": Kind(datetime, sa.DateTime, (AT, LATER)),
    "colour": Kind(Colour, lambda: sa.Enum(Colour, native_enum=False), ("red", "blue")),
    "level": Kind(Level, lambda: sa.Enum(Level, native_enum=False), (2, 1)),
    "words": Kind(str, lambda: sa.Enum("old", "new", native_enum=False), ("old", "new")),
    "photo": Kind(bytes, sa.LargeBinary, ("+/8=", "AA=="), is_comparable=False),
    "document": Kind(dict[str, Any], sa.JSON, ({"a": [1]}, {}), is_comparable=False),
    "days": Kind(list[datetime], sa.JSON, ([AT], []), is_comparable=False),
    "padded": Kind(str, lambda: sa.CHAR(5), ("a", "b"), is_refused=True),
    "inexact": Kind(float, sa.Numeric, (1, 2), is_refused=True),
}
NAMES = ("order", "metadata", "Größe", "Unit Price", "select", "a%(b)s", 'q"q', "x" * 60)


class Member(NamedTuple):
    """One member of a class: its kind, the name of its column, and whether null may be stored."""

    kind: str
    stored_as: str | None
    is_nullable: bool


MEMBERS = some.lists(
    some.builds(Member, some.sampled_from(sorted(KINDS)), some.none() | some.sampled_from(NAMES), some.booleans()),
    min_size=1,
    max_size=5,
    unique_by=(lambda member: member.kind, lambda member: member.stored_as or member.kind),
)


def made_up(members: list[Member]) -> tuple[type[SQLModel], sa.MetaData]:
    """Return a table class with these members."""
    metadata = new_metadata()
    body: dict[str, Any] = {"__module__": __name__, "__annotations__": {}}
    for member in members:
        kind = KINDS[member.kind]
        column = sa.Column(member.stored_as or member.kind, kind.stored(), nullable=member.is_nullable)
        body["__annotations__"][member.kind] = kind.annotation | None if member.is_nullable else kind.annotation
        body[member.kind] = Field(default=None, sa_column=column) if member.is_nullable else Field(sa_column=column)
    kind_of_class: Any = type(SQLModel)
    base = kind_of_class(
        "Base", (IntegerKey, Record), {"__module__": __name__}, registry=sa.orm.registry(metadata=metadata)
    )
    return kind_of_class("MadeUp", (base,), body, table=True), metadata


@seed(SEED)
@settings(max_examples=CLASSES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(members=MEMBERS, keeps=some.booleans())
def test_a_class_is_refused_or_keeps_the_contract(
    backend: str, databases: Databases, *, members: list[Member], keeps: bool
) -> None:
    """Create, get, list, filter, sort, update, delete, restore, export and import."""
    model, metadata = made_up(members)
    registry = Registry()
    line: dict[str, Any] = {"read": ANYONE, "write": ANYONE, "soft_delete": keeps, "history": keeps}
    if any(KINDS[member.kind].is_refused for member in members):
        with pytest.raises(RegistrationError, match=r"^MadeUp\.\w+"):
            registry.register(model, **line)
        return
    registry.register(model, **line)
    url = databases.empty(backend)
    engine = create_engine(Settings(database_url=url))
    metadata.create_all(engine)
    engine.dispose()
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, metadata)) as client:
        _keeps_the_contract(client, members, keeps=keeps)


def _keeps_the_contract(client: QuickClient, members: list[Member], *, keeps: bool) -> None:
    first, second = ({member.kind: KINDS[member.kind].values[n] for member in members} for n in (0, 1))
    made = client.post(PATH, json=first)
    assert made.status_code == 201, made.text
    where = made.headers["Location"]
    shown = {name: made.json()[name] for name in first}
    assert shown == first
    assert client.get(where).json() == made.json()
    other = client.post(f"{PATH}/batch", json=[second])
    assert (other.status_code, {name: other.json()[0][name] for name in first}) == (201, second)
    for member in members:
        if KINDS[member.kind].is_comparable:
            found = client.get(PATH, params={member.kind: str(first[member.kind]).lower()}).json()
            assert [row["id"] for row in found["items"]] == [made.json()["id"]], member
            page = client.get(PATH, params={"sort": member.kind, "size": 1}).json()
            rest = client.get(PATH, params={"cursor": page["next_cursor"]}).json()["items"]
            assert {row["id"] for row in (*page["items"], *rest)} == {1, 2}
        if member.is_nullable:
            assert client.patch(where, json={member.kind: None}).json()[member.kind] is None
    changed = client.patch(where, json=second)
    assert {name: changed.json()[name] for name in first} == second
    if keeps:
        assert client.delete(where).status_code == 204
        assert {
            name: client.post(f"{where}/restore").json()[name] for name in list(first)[:1]
        }.items() <= second.items()
        assert client.get(f"{where}/history").json()["total"] >= 3
    for form in ("csv", "ndjson"):
        kind = {"Content-Type": "text/csv" if form == "csv" else "application/x-ndjson"}
        exported = client.get(f"{PATH}/export", params={"format": form, "fields": ",".join(first), "id": "2"}).content
        assert client.post(f"{PATH}/import", content=exported, headers=kind).json() == {"created": 1}
        last = client.get(PATH, params={"sort": "-id", "size": 1}).json()["items"][0]
        assert {name: last[name] for name in first} == second
