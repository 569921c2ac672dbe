"""Keys that clients choose: used again, written in several ways, and what belongs to whom."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlmodel import Field
from starlette.testclient import TestClient

import rowhouse
from rowhouse import SIGNED_IN, Registry, Transition, include_accounts, role
from rowhouse.core.openapi import resolved
from rowhouse.core.settings import Settings
from rowhouse.entities.model import READ_ONLY, IntegerKey, Record
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, sign_in, sign_up
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.metadata import new_metadata

API = "/api/v1"
metadata = new_metadata()
CLOSE = Transition("close", ("open",), "closed", field="state", policy=role("clerk", "admin"))
Headers = dict[str, str]


class Base(Record, registry=sa.orm.registry(metadata=metadata)):
    """`Record` in a metadata of its own."""


class Locker(Base, table=True):
    """Private. Its key is a text that a client chooses."""

    code: str = Field(primary_key=True, max_length=20)
    keeper_id: int = Field(foreign_key="users.id", index=True)
    note: str = Field(default="", max_length=40)


class Rate(Base, table=True):
    """Its key is a decimal."""

    value: Decimal = Field(primary_key=True, max_digits=8, decimal_places=2)
    note: str = Field(default="", max_length=40)


class Safe(IntegerKey, Base, table=True):
    """Clerks write it, and auditors read it."""

    label: str = Field(max_length=40, unique=True)
    amount: int = 42
    state: Annotated[str, READ_ONLY] = Field(default="open", max_length=10)


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """A client of the application."""
    registry = Registry(API)
    include_accounts(registry, roles=("clerk", "auditor"), sign_up=("user", "clerk", "auditor"))
    recorded: Any = {"history": True, "soft_delete": True}
    registry.register(Locker, owner="keeper_id", **recorded)
    registry.register(Rate, read=SIGNED_IN, write=SIGNED_IN, **recorded)
    staff: Any = {"read": role("auditor", "admin"), "write": role("clerk", "admin")}
    registry.register(Safe, **staff, **recorded, steps=(CLOSE,))
    settings = Settings(
        database_url=databases.prepared(backend, "reused_keys", metadata.create_all),
        admin_email=ADMIN_EMAIL,
        admin_password=SecretStr(ADMIN_PASSWORD),
        **QUIET,
    )
    app = rowhouse.create_app(registry, settings=settings, metadata=metadata, title="Lockers")
    with QuickClient(app) as client:
        yield client


def test_the_history_of_a_key_that_is_used_again_begins_with_the_new_row(client: TestClient) -> None:
    """The former row may have been somebody else's. One that is restored keeps its own."""
    ann, bob = sign_up(client), sign_up(client)
    path = f"{API}/lockers/A7"
    assert client.post(f"{API}/lockers", json={"code": "A7", "note": "ann"}, headers=ann).status_code == 201
    assert client.delete(path, headers=ann).status_code == 204
    assert client.post(f"{path}/restore", headers=ann).status_code == 200
    entries = client.get(f"{path}/history", headers=ann).json()["items"]
    assert [one["action"] for one in entries] == ["create", "delete", "restore"]
    assert client.delete(path, headers=ann).status_code == 204
    assert client.get(f"{path}/history", headers=bob).status_code == 404
    assert client.post(f"{API}/lockers", json={"code": "A7", "note": "bob"}, headers=bob).status_code == 201
    assert client.patch(path, json={"note": "b"}, headers=bob).status_code == 200
    page = client.get(f"{path}/history", headers=bob).json()
    assert [(one["action"], (one["after"] or {}).get("note")) for one in page["items"]] == [
        ("create", "bob"),
        ("update", "b"),
    ]
    assert page["total"] == 2
    assert client.get(f"{path}/history", headers=ann).status_code == 404


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ("1.5", "1.5"),
        ("2", "2"),
        ("2.00", "2"),
        ("0", "0"),
        ("-0.0", "0"),
        ("100", "100"),
        ("1.25", "1.25"),
        ("-10.0", "-10"),
    ],
)
def test_a_decimal_key_has_one_text(client: TestClient, written: str, stored: str) -> None:
    """In paths, in the history and among the deleted rows, however it is written."""
    caller = sign_up(client)
    path = f"{API}/rates/{written}"
    made = client.put(path, json={"note": "a"}, headers=caller)
    assert (made.status_code, made.headers["Location"]) == (201, f"{API}/rates/{stored}")
    assert client.get(f"{path}/history", headers=caller).json()["total"] == 1
    assert client.delete(path, headers=caller).status_code == 204
    assert client.get(f"{API}/rates/deleted?id={written}", headers=caller).json()["total"] == 1
    assert client.post(f"{path}/restore", headers=caller).json()["value"] == float(stored)
    assert client.delete(path, headers=caller).status_code == 204
    again = client.post(f"{API}/rates", json={"value": float(written)}, headers=caller)
    assert again.headers["Location"] == f"{API}/rates/{stored}"
    assert client.delete(f"{API}/rates/batch?ids={written}", headers=caller).status_code == 204


def test_whoever_may_not_read_a_row_gets_none_by_changing_it(client: TestClient) -> None:
    """Only the version. Who may read it gets the row."""
    admin, clerk = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD), sign_up(client, "clerk")
    safe = f"{API}/safes/{client.post(f'{API}/safes', json={'label': 'top'}, headers=admin).json()['id']}"
    key = int(safe.rpartition("/")[2])
    assert client.get(safe, headers=clerk).status_code == 403
    calls = [
        ("PATCH", safe, {"label": "a"}),
        ("PUT", safe, {"label": "b"}),
        ("PATCH", f"{API}/safes/batch", [{"id": key, "label": "c"}]),
        ("POST", f"{API}/safes/batch?on=label", [{"label": "c", "amount": 7}]),
        ("POST", f"{safe}/close", None),
        ("DELETE", safe, None),
        ("POST", f"{safe}/restore", None),
    ]
    document = resolved(client.get("/openapi.json").json())["paths"]
    for method, path, body in calls:
        told = client.request(method, path, json=body, headers=clerk)
        assert (told.status_code, told.content) == (204, b""), path
        template = path.partition("?")[0].replace(f"/{key}", "/{id}")
        assert "204" in document[template][method.lower()]["responses"], template
    assert client.get(safe, headers=admin).json()["amount"] == 7
    assert client.patch(safe, json={"label": "z"}, headers=admin).json()["label"] == "z"
    # A new row is the caller's own.
    assert client.post(f"{API}/safes", json={"label": "new"}, headers=clerk).json()["amount"] == 42


def test_the_history_shows_the_members_that_are_asked_for(client: TestClient) -> None:
    """Also behind a cursor."""
    caller = sign_up(client)
    path = f"{API}/rates/7.5"
    for note in ("a", "b"):
        assert client.put(path, json={"note": note}, headers=caller).is_success
    page = client.get(f"{path}/history?fields=action,at&size=1", headers=caller).json()
    assert [list(one) for one in page["items"]] == [["action", "at"]]
    page = client.get(f"{path}/history", params={"cursor": page["next_cursor"], "fields": "id"}, headers=caller)
    assert [list(one) for one in page.json()["items"]] == [["id"]]
    assert client.get(f"{path}/history?fields=nope", headers=caller).status_code == 422


@pytest.mark.parametrize("step", ["close", "restore"])
def test_an_operation_without_a_body_refuses_members(client: TestClient, step: str) -> None:
    """They would be ignored. An empty object says nothing."""
    admin = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
    made = client.post(f"{API}/safes", json={"label": f"of {step}"}, headers=admin).headers["Location"]
    if step == "restore":
        client.delete(made, headers=admin)
    for content, loc in (('{"amount": 1}', ["body", "amount"]), ("[1]", ["body"]), ("{", ["body"]), ('"x"', ["body"])):
        told = client.post(f"{made}/{step}", content=content, headers=admin)
        assert (told.status_code, told.json()["errors"][0]["loc"]) == (422, loc), content
    assert client.post(f"{made}/{step}", content=" {} ", headers=admin).status_code == 200
