"""Upserts of odd classes: owners, fixed members, keys of the client, rivals and rules, on both databases."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, ClassVar

import pytest
import sqlalchemy as sa
from sqlmodel import Field
from starlette.testclient import TestClient

from rowhouse.auth.accounts import include_accounts
from rowhouse.core.errors import ConflictError, NotFoundError
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.upsert import Names, UniqueValues
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import CREATE_ONLY, IntegerKey, Record
from rowhouse.entities.no_overlap import NoOverlap
from rowhouse.registration.registry import Registry
from tests.conftest import settings_for, sign_up
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata
from tests.statement_counter import all_statements_sent

metadata = new_metadata()
Headers = dict[str, str]


class Base(Record, registry=sa.orm.registry(metadata=metadata)):
    """`Record` in a metadata of its own."""


class Like(IntegerKey, Base, table=True):
    """Owned; nothing of it changes."""

    __table_args__ = (sa.UniqueConstraint("user_id", "thing"),)

    user_id: int = Field(foreign_key="users.id")
    thing: Annotated[str, CREATE_ONLY] = Field(max_length=20)


class Note(IntegerKey, Base, table=True):
    """Owned and private; unique members, one of them under another name, and one that never changes."""

    __table_args__ = (
        sa.Index(None, "label", unique=True),
        sa.Index(
            "uq_notes_first", "text", unique=True,
            postgresql_where=sa.text("text = 'first'"), sqlite_where=sa.text("text = 'first'"),
        ),
        sa.Index("ix_notes_text_number", "text", "number"),
    )  # fmt: skip

    owner_id: int = Field(foreign_key="users.id")
    code: str = Field(max_length=20, sa_column_kwargs={"name": "Code", "unique": True})
    number: int | None = Field(default=None, unique=True)
    label: str | None = Field(default=None, max_length=20)
    colour: Annotated[str, CREATE_ONLY] = Field(default="red", max_length=20, sa_column_kwargs={"name": "Colour"})
    text: str = Field(default="", max_length=20)


class Country(Base, table=True):
    """The client names the key."""

    __tablename__ = "countries"

    code: str = Field(max_length=2, primary_key=True)
    name: str = Field(default="", max_length=20)


class Stay(IntegerKey, Base, table=True):
    """Two stays in one country do not overlap."""

    __table_args__ = (NoOverlap("country", "begins_at", "ends_at"),)

    ticket: str = Field(max_length=20, unique=True)
    country: str = Field(max_length=2, foreign_key="countries.code")
    begins_at: datetime
    ends_at: datetime


class NoteCRUD(CRUDBase[Note]):
    """A rule that looks for another row, and one for all rows at once."""

    def validate_many(self, rows: Sequence[Note], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """Reject a batch with a text that stops everything."""
        super().validate_many(rows, stored=stored, unit=unit)
        if any(row.text == "stop" for row in rows):
            raise ConflictError("Nothing is written today.")

    def validate(self, row: Note, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Reject a text that names nothing."""
        if row.text == "lost":
            raise NotFoundError("There is no such thing.")


class LateCRUD(CRUDBase[Country]):
    """A rival inserts the rows after the first look."""

    late: ClassVar[list[bool]] = []

    def update(self, unit: UnitOfWork, key: Any, values: Mapping[str, Any]) -> Row:
        """Find nothing yet."""
        if self.late and self.late.pop():
            raise NotFoundError
        return super().update(unit, key, values)

    def update_many(self, unit: UnitOfWork, changes: Sequence[tuple[Any, Any]]) -> list[Row]:
        """As ever."""
        return super().update_many(unit, changes)

    def _stored(
        self, unit: UnitOfWork, keys: Sequence[UniqueValues], on: Names, *, lock: bool = False
    ) -> dict[UniqueValues, Row]:
        return {} if self.late and self.late.pop() else super()._stored(unit, keys, on, lock=lock)


class EarlyCRUD(CRUDBase[Stay]):
    """A rival deletes the rows after the first look."""

    early: ClassVar[list[bool]] = []

    def update_many(self, unit: UnitOfWork, changes: Sequence[tuple[Any, Any]]) -> list[Row]:
        """Delete first, in the transaction that is rolled back."""
        if self.early and self.early.pop():
            self.delete_many(unit, [key for key, _ in changes])
        return super().update_many(unit, changes)


@pytest.fixture(scope="module")
def client(backend: str, databases: Databases) -> Iterator[TestClient]:
    """An application of these classes."""
    registry = Registry("/api/v1")
    include_accounts(registry, sign_up=("user",))
    registry.register(Like, owner="user_id")
    registry.register(Note, owner="owner_id", history=True, crud=NoteCRUD)
    registry.register(Country, read=ANYONE, write=SIGNED_IN, crud=LateCRUD, history=True)
    registry.register(Stay, read=ANYONE, write=SIGNED_IN, crud=EarlyCRUD)
    url = databases.prepared(backend, "upsert", metadata.create_all)
    with QuickClient(create_app(settings_for(url), registry, metadata)) as made:
        yield made


@pytest.fixture(scope="module")
def one(client: TestClient) -> Headers:
    """The headers of an account."""
    return sign_up(client, "user")


@pytest.fixture(scope="module")
def other(client: TestClient) -> Headers:
    """The headers of another account."""
    return sign_up(client, "user")


def upsert(client: TestClient, path: str, on: str, bodies: list[dict[str, Any]], headers: Headers) -> Any:
    """Return the response to a batch."""
    return client.post(f"/api/v1/{path}/batch", params={"on": on}, json=bodies, headers=headers)


def outcomes(client: TestClient, path: str, on: str, bodies: list[dict[str, Any]], headers: Headers) -> list[str]:
    """Return what a batch did with each element."""
    answer = upsert(client, path, on, bodies, headers)
    assert answer.status_code == 200, answer.text
    found: list[str] = answer.json()["outcomes"]
    return found


def test_a_key_with_the_owner_is_the_callers(client: TestClient, one: Headers, other: Headers) -> None:
    """Each caller has a row of their own, also where the row has nothing that changes."""
    for _ in range(2):
        for headers in (one, other):
            outcomes(client, "likes", "user_id,thing", [{"thing": "tea"}], headers)
    assert outcomes(client, "likes", "user_id,thing", [{"thing": "tea"}, {"thing": "rain"}], one) == [
        "updated",
        "created",
    ]
    assert [client.get("/api/v1/likes", headers=headers).json()["total"] for headers in (one, other)] == [2, 1]


def test_a_key_may_have_another_name_in_the_database(client: TestClient, one: Headers) -> None:
    """`on` names members. A member that never changes must be as it is stored."""
    assert outcomes(client, "notes", "code", [{"code": "a", "colour": "blue"}], one) == ["created"]
    assert outcomes(client, "notes", "code", [{"code": "a", "colour": "blue", "text": "x"}], one) == ["updated"]
    told = upsert(client, "notes", "code", [{"code": "b"}, {"code": "a", "colour": "red", "text": "y"}], one)
    assert (told.status_code, told.json()["errors"][0]["loc"]) == (422, ["body", 1, "colour"])
    found = client.get("/api/v1/notes", params={"code__in": "a,b"}, headers=one).json()["items"]
    assert [(row["code"], row["colour"], row["text"]) for row in found] == [("a", "blue", "x")]


def test_an_index_is_a_key_if_it_makes_all_rows_unique(client: TestClient, one: Headers) -> None:
    """Not one of some rows, nor one that only sorts. The error lists the keys."""
    assert outcomes(client, "notes", "label", [{"code": "l1", "label": "l"}], one) == ["created"]
    assert outcomes(client, "notes", "label", [{"code": "l2", "label": "l"}], one) == ["updated"]
    for on in ("text", "text,number", "Code", "id", ""):
        told = upsert(client, "notes", on, [{"code": "l3"}], one)
        assert told.status_code == 422
        assert told.json()["errors"][0]["msg"] == "Input should be 'code' or 'number' or 'label'"


def test_one_statement_locks_all_rows(client: TestClient, one: Headers) -> None:
    """Several would lock them in the order of the request, and rivals would deadlock."""
    bodies = [{"code": f"s{number}"} for number in range(7)]
    outcomes(client, "notes", "code", bodies, one)
    with all_statements_sent() as sent:
        assert outcomes(client, "notes", "code", bodies, one) == ["updated"] * 7
    assert len([text for text in sent if text.startswith("WITH given") and "SELECT" in text]) == 1


def test_history_sees_creates_and_updates(client: TestClient, one: Headers) -> None:
    """An update with the row before and after."""
    for text in ("x", "y"):
        made = upsert(client, "notes", "code", [{"code": "h", "text": text}], one).json()["items"][0]
    found = client.get(f"/api/v1/notes/{made['id']}/history", headers=one, params={"sort": "id"}).json()
    first, second = found["items"]
    assert (first["action"], first["before"], first["after"]["text"]) == ("create", None, "x")
    assert (second["action"], second["before"]["text"], second["after"]["text"]) == ("update", "x", "y")


def test_the_row_of_someone_else_stays_hidden(client: TestClient, one: Headers, other: Headers) -> None:
    """409 names the element, and a guess at a member that never changes is answered alike."""
    outcomes(client, "notes", "code", [{"code": "mine", "colour": "blue", "text": "x"}], one)
    for colour in ("blue", "red"):
        theirs = [{"code": "theirs"}, {"code": "mine", "colour": colour, "text": "y"}]
        told = upsert(client, "notes", "code", theirs, other)
        assert (told.status_code, told.json()["code"]) == (409, "duplicate")
        assert told.json()["detail"] == "Element 1: Note with this code already exists"
        assert told.json()["errors"][0]["loc"] == ["body", 1]
    assert client.get("/api/v1/notes", params={"code": "theirs"}, headers=other).json()["total"] == 0
    assert client.get("/api/v1/notes", params={"code": "mine"}, headers=one).json()["items"][0]["text"] == "x"


def test_another_unique_value_is_taken(client: TestClient, one: Headers) -> None:
    """409 names the element, of a new row and of a change."""
    outcomes(client, "notes", "code", [{"code": "n1", "number": 1}, {"code": "n2", "number": 2}], one)
    for taking in ({"code": "n3", "number": 1}, {"code": "n2", "number": 1}):
        told = upsert(client, "notes", "code", [{"code": "n4"}, {"code": "n1"}, taking], one)
        assert (told.status_code, told.json()["detail"]) == (409, "Element 2: Note with this number already exists")
        assert told.json()["errors"][0]["loc"] == ["body", 2]


def test_a_key_of_null_is_always_new(client: TestClient, one: Headers) -> None:
    """Null equals nothing, not even within the batch."""
    assert outcomes(client, "notes", "number", [{"number": None, "code": "o0"}], one) == ["created"]
    bodies: list[dict[str, Any]] = [{"number": None, "code": "o1"}, {"number": 7, "code": "o2"}, {"code": "o3"}]
    assert outcomes(client, "notes", "number", bodies, one) == ["created"] * 3
    bodies = [{"number": 7, "code": "o2"}, {"number": None, "code": "o4"}]
    assert outcomes(client, "notes", "number", bodies, one) == ["updated", "created"]


def test_the_errors_of_rules(client: TestClient, one: Headers) -> None:
    """A rule may look for another row: its 404 is the answer. An error for all rows names no element."""
    outcomes(client, "notes", "code", [{"code": "r1"}], one)
    for bodies in ([{"code": "r2"}, {"code": "r1", "text": "lost"}], [{"code": "r1"}, {"code": "r2", "text": "lost"}]):
        told = upsert(client, "notes", "code", bodies, one)
        assert (told.status_code, told.json()["detail"]) == (404, "Element 1: There is no such thing.")
        assert told.json()["errors"][0]["loc"] == ["body", 1]
    for code in ("r1", "r2"):
        told = upsert(client, "notes", "code", [{"code": code, "text": "stop"}], one)
        assert (told.status_code, told.json()["detail"]) == (409, "Nothing is written today.")
        assert "errors" not in told.json()
        line = json.dumps({"code": code, "text": "stop"})
        sent = {**one, "Content-Type": "application/x-ndjson"}
        told = client.post("/api/v1/notes/import", params={"on": "code"}, content=line, headers=sent)
        assert (told.status_code, told.json()["detail"]) == (409, "Nothing is written today.")
    assert client.get("/api/v1/notes", params={"code": "r2"}, headers=one).json()["total"] == 0


def test_a_row_inserted_meanwhile_is_changed(client: TestClient, one: Headers) -> None:
    """The row that a rival inserts between the look and the insert is changed."""
    assert outcomes(client, "countries", "code", [{"code": "FR", "name": "x"}], one) == ["created"]
    LateCRUD.late.append(True)
    bodies = [{"code": "FR", "name": "France"}, {"code": "DE"}]
    assert outcomes(client, "countries", "code", bodies, one) == ["updated", "created"]
    assert LateCRUD.late == []
    assert client.get("/api/v1/countries/FR", headers=one).json()["name"] == "France"


def test_a_row_inserted_meanwhile_is_changed_by_put(client: TestClient, one: Headers) -> None:
    """200 in place of 201."""
    assert client.put("/api/v1/countries/ES", json={"name": "x"}, headers=one).status_code == 201
    LateCRUD.late.append(True)
    told = client.put("/api/v1/countries/ES", json={"name": "Spain"}, headers=one)
    assert (told.status_code, told.json()["name"], LateCRUD.late) == (200, "Spain", [])


def test_a_row_deleted_meanwhile_is_created_again(client: TestClient, one: Headers) -> None:
    """The request begins again. Here only the rival's delete is rolled back with it, so the row is there."""
    outcomes(client, "countries", "code", [{"code": "IT"}], one)
    stay = {"ticket": "t1", "country": "IT", "begins_at": "2030-01-01T00:00:00Z", "ends_at": "2030-01-02T00:00:00Z"}
    assert outcomes(client, "stays", "ticket", [stay], one) == ["created"]
    EarlyCRUD.early.append(True)
    moved = {**stay, "ends_at": "2030-01-03T00:00:00Z"}
    next_one = {**stay, "ticket": "t2", "begins_at": "2030-01-03T00:00:00Z", "ends_at": "2030-01-04T00:00:00Z"}
    assert outcomes(client, "stays", "ticket", [next_one, moved], one) == ["created", "updated"]
    assert EarlyCRUD.early == []
    told = upsert(client, "stays", "ticket", [{**stay, "ticket": "t3"}], one)
    assert (told.status_code, told.json()["code"]) == (409, "overlap")
