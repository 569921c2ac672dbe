"""Keys of two columns, and foreign keys to them: long, broken, and of someone else, on both databases."""

from collections.abc import Iterator
from datetime import date
from enum import Enum
from typing import Annotated, Any
from urllib.parse import unquote

import pytest
import sqlalchemy as sa
from sqlmodel import Field
from starlette.testclient import TestClient

from rowhouse.auth.accounts import include_accounts
from rowhouse.core.policy import SIGNED_IN
from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import CREATE_ONLY, READ_ONLY, IntegerKey, Record
from rowhouse.entities.transition import Transition
from rowhouse.registration.registry import Registry
from tests.conftest import settings_for, sign_up
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()
Headers = dict[str, str]
API = "/api/v1"


class Base(Record, registry=sa.orm.registry(metadata=metadata)):
    """`Record` in a metadata of its own."""


class Box(Base, table=True):
    """Private; the owner is a part of the key."""

    __tablename__ = "boxes"

    owner_id: int = Field(foreign_key="users.id", primary_key=True)
    label: str = Field(max_length=700, primary_key=True)
    colour: str = Field(default="red", max_length=20)


class Size(Enum):
    """Values of a key."""

    SMALL = "small"
    LARGE = "x,l"


class Price(Base, table=True):
    """One for each kind and day; an enum is a part of the key."""

    kind: Size = Field(primary_key=True)
    day: date = Field(primary_key=True)
    cents: int = 0


class Thing(IntegerKey, Base, table=True):
    """Lies in a box, and perhaps came out of another."""

    __table_args__ = (
        sa.ForeignKeyConstraint(["from_id", "from_label"], ["boxes.owner_id", "boxes.label"]),
        sa.ForeignKeyConstraint(["in_id", "in_label"], ["boxes.owner_id", "boxes.label"]),
    )

    from_id: int | None = Field(default=None, index=True)
    from_label: str | None = Field(default=None, max_length=20)
    in_id: int | None = Field(default=None, index=True)
    in_label: str | None = Field(default=None, max_length=20)
    state: Annotated[str, READ_ONLY] = Field(default="new", max_length=20)


class ThingCRUD(CRUDBase[Thing]):
    """A step that puts the thing into a box."""

    def take_step(self, unit: UnitOfWork, key: Any, transition: Transition[Any]) -> Row:
        """Choose the box that has the name of the state."""
        row = super().take_step(unit, key, transition)
        return self.update_locked(unit, self.lock(unit, key), {"in_label": row["state"]})


class Tag(IntegerKey, Base, table=True):
    """Refers to boxes that anyone may name, because none of them is registered."""

    __table_args__ = (
        sa.ForeignKeyConstraint(["from_id", "from_label"], ["crates.number", "crates.label"]),
        sa.ForeignKeyConstraint(["in_id", "in_label"], ["crates.number", "crates.label"]),
    )

    from_id: int | None = Field(default=None, index=True)
    from_label: str | None = Field(default=None, max_length=20)
    in_id: int | None = Field(default=None, index=True)
    in_label: str | None = Field(default=None, max_length=20)


class Crate(Base, table=True):
    """Anyone reads them."""

    number: Annotated[int, CREATE_ONLY] = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    label: str = Field(max_length=20, primary_key=True)


@pytest.fixture(scope="module")
def client(backend: str, databases: Databases) -> Iterator[TestClient]:
    """An application of these classes."""
    registry = Registry(API)
    include_accounts(registry, sign_up=("user",), operations=())
    registry.register(Box, owner="owner_id", soft_delete=True, history=True)
    pack = Transition("pack", ("new",), "packed", field="state")
    registry.register(Thing, read=SIGNED_IN, write=SIGNED_IN, crud=ThingCRUD, steps=(pack,))
    for model in (Crate, Price, Tag):
        registry.register(model, read=SIGNED_IN, write=SIGNED_IN)
    url = databases.prepared(backend, "long_references", metadata.create_all)
    with QuickClient(create_app(settings_for(url), registry, metadata)) as made:
        yield made


def test_a_reference_to_the_row_of_someone_else_is_409(client: TestClient) -> None:
    """As one to a row that does not exist. In a batch it names the element."""
    one, other = sign_up(client), sign_up(client)
    box = client.post(f"{API}/boxes", json={"label": "a"}, headers=one).json()
    mine = {"in_id": box["owner_id"], "in_label": "a"}
    assert client.post(f"{API}/things", json=mine, headers=one).status_code == 201
    for body in (mine, {**mine, "in_label": "b"}):
        told = client.post(f"{API}/things", json=body, headers=other)
        assert (told.status_code, told.json()["code"]) == (409, "reference_not_found")
        values = f"{body['in_id']}, {body['in_label']}"
        assert told.json()["detail"] == f"in_id, in_label: there is nothing with the owner_id, label {values}."
    told = client.post(f"{API}/things/batch", json=[{}, {"in_id": 7}, mine], headers=other)
    assert (told.status_code, told.json()["errors"][0]["loc"]) == (409, ["body", 2])
    assert client.get(f"{API}/things", headers=other).json()["total"] == 1


def test_a_broken_reference_names_its_members(client: TestClient) -> None:
    """And not those of another reference of the row, which is null or right."""
    caller = sign_up(client)
    crate: dict[str, Any] = client.post(f"{API}/crates", json={"number": 1, "label": "a"}, headers=caller).json()
    right = {"from_id": crate["number"], "from_label": "a"}
    for further in ({}, right, {"from_id": 9}):
        told = client.post(f"{API}/tags", json={**further, "in_id": 1, "in_label": "b"}, headers=caller)
        assert (told.status_code, told.json()["code"]) == (409, "reference_not_found")
        assert told.json()["detail"] == "in_id, in_label: there is nothing with the number, label 1, b."


def test_a_change_of_one_part_is_a_change_of_the_reference(client: TestClient) -> None:
    """The other part is what is stored: nobody comes to the row of someone else in two steps."""
    one, other = sign_up(client), sign_up(client)
    owner = client.post(f"{API}/boxes", json={"label": "a"}, headers=one).json()["owner_id"]
    made = client.post(f"{API}/things", json={"in_id": owner}, headers=other)
    thing, where = made.json()["id"], made.headers["Location"]
    for label in ("a", "b"):
        expected = f"in_id, in_label: there is nothing with the owner_id, label {owner}, {label}."
        told = client.patch(where, json={"in_label": label}, headers=other)
        assert (told.status_code, told.json()["detail"]) == (409, expected)
        second = client.post(f"{API}/things", json={}, headers=other).json()["id"]
        changes = [{"id": second, "from_id": 1}, {"id": thing, "in_label": label}]
        told = client.patch(f"{API}/things/batch", json=changes, headers=other)
        assert (told.status_code, told.json()["detail"]) == (409, f"Element 1: {expected}")
    changed = client.patch(where, json={"in_label": "a"}, headers=one)
    assert (changed.status_code, changed.json()["in_id"], changed.json()["in_label"]) == (200, owner, "a")
    missing = client.patch(f"{API}/things/batch", json=[{"id": thing, "in_id": 1}, {"id": 0, "in_id": 1}], headers=one)
    expected = "Element 0: in_id, in_label: there is nothing with the owner_id, label 1, a."
    assert (missing.status_code, missing.json()["detail"]) == (409, expected)


def test_a_step_that_changes_one_part_changes_the_reference(client: TestClient) -> None:
    """A locked row is changed by the same rule."""
    one, other = sign_up(client), sign_up(client)
    owner = client.post(f"{API}/boxes", json={"label": "packed"}, headers=one).json()["owner_id"]
    where = client.post(f"{API}/things", json={"in_id": owner}, headers=other).headers["Location"]
    told = client.post(f"{where}/pack", headers=other)
    assert (told.status_code, told.json()["code"]) == (409, "reference_not_found")
    packed = client.post(f"{where}/pack", headers=one).json()
    assert (packed["state"], packed["in_id"], packed["in_label"]) == ("packed", owner, "packed")


def test_long_keys_that_begin_alike_are_different_rows(client: TestClient) -> None:
    """Each has its own history, and comes back by itself."""
    caller = sign_up(client)
    labels = [f"{'x' * 690}{end}" for end in "ab"]
    paths = [client.post(f"{API}/boxes", json={"label": one}, headers=caller).headers["Location"] for one in labels]
    assert client.patch(paths[0], json={"colour": "blue"}, headers=caller).status_code == 200
    assert [len(client.get(f"{path}/history", headers=caller).json()["items"]) for path in paths] == [2, 1]
    for path in paths:
        assert client.delete(path, headers=caller).status_code == 204
    assert client.post(f"{paths[0]}/restore", headers=caller).json()["colour"] == "blue"
    assert [client.get(path, headers=caller).status_code for path in paths] == [200, 404]


def test_an_enum_and_a_date_may_be_a_key(client: TestClient) -> None:
    """They are written as their JSON, in quotes where they hold a comma."""
    caller = sign_up(client)
    made = client.post(f"{API}/prices", json={"kind": "x,l", "day": "2030-01-31", "cents": 5}, headers=caller)
    assert unquote(made.headers["Location"]) == f'{API}/prices/"x,l",2030-01-31'
    assert client.get(made.headers["Location"], headers=caller).json() == made.json()
    small = client.put(f"{API}/prices/small,2030-02-01", json={"cents": 3}, headers=caller)
    assert (small.status_code, small.json()["kind"]) == (201, "small")
    ids = {"ids": '"x,l",2030-01-31;small,2030-02-01'}
    assert client.delete(f"{API}/prices/batch", params=ids, headers=caller).status_code == 204
