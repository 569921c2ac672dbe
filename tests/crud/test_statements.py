"""The number of statements of an operation does not grow with rows, nor the time to find a route with entities."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy import event
from sqlalchemy.orm import registry as orm_registry
from starlette.testclient import TestClient

from rowhouse.app.application import Application
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.core.settings import Settings
from rowhouse.db.compiled import CompiledStatement
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.registration.registry import Registry
from tests.conftest import QUIET, unique
from tests.databases import Databases
from tests.sample_entities.application import create_app

Headers = dict[str, str]
MANY = 100


@pytest.fixture
def statements(odd_client: TestClient, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Record every statement of the application, of the bare driver and of SQLAlchemy."""
    sent: list[str] = []
    execute = CompiledStatement.execute

    def count(self: CompiledStatement, *arguments: Any) -> Any:
        sent.append(self.text)
        return execute(self, *arguments)

    def count_sqlalchemy(_connection: Any, _cursor: Any, text: str, *_: Any) -> None:
        sent.append(text)

    assert isinstance(odd_client.app, FastAPI)
    engine = odd_client.app.state.database.engine
    monkeypatch.setattr(CompiledStatement, "execute", count)
    event.listen(engine, "before_cursor_execute", count_sqlalchemy)
    yield sent
    event.remove(engine, "before_cursor_execute", count_sqlalchemy)


def cost(client: TestClient, statements: list[str], path: str, headers: Headers, **query: Any) -> tuple[int, int]:
    """Return the number of rows in a list, and of statements for it."""
    statements.clear()
    answer = client.get(f"/api/v1/{path}", params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return len(answer.json()["items"]), len(statements)


@pytest.mark.parametrize(
    ("path", "member"), [("leaves", "name"), ("diaries", "entry"), ("parcels", "name"), ("branches", "name")]
)
def test_a_hundred_rows_cost_the_statements_of_one(
    odd_client: TestClient, odd_admin: Headers, statements: list[str], path: str, member: str
) -> None:
    """One statement for the caller and one for page and total, for any references."""
    name = unique("row")
    body = {member: name, **({"weight": 1} if path == "parcels" else {})}
    for _ in range(MANY):
        assert odd_client.post(f"/api/v1/{path}", json=body, headers=odd_admin).status_code == 201
    query = {member: name, "sort": f"-{member}"}
    assert cost(odd_client, statements, path, odd_admin, size=1, **query) == (1, 2)
    assert cost(odd_client, statements, path, odd_admin, size=MANY, **query) == (MANY, 2)
    assert cost(odd_client, statements, path, odd_admin, size=MANY, page=2, **query) == (0, 3)


def test_each_verb_is_one_statement(odd_client: TestClient, odd_admin: Headers, statements: list[str]) -> None:
    """Without an overridden hook and without a record of changes, a write reads nothing first, nor the account."""
    preset = odd_client.post("/api/v1/presets", json={"name": unique("preset")}, headers=odd_admin).json()
    path = f"/api/v1/presets/{preset['id']}"
    new = {"name": unique("preset")}
    for method, where, body in (
        ("GET", path, None),
        ("PATCH", path, {"whole": 3}),
        ("DELETE", path, None),
        ("POST", "/api/v1/presets", new),
    ):
        statements.clear()
        assert odd_client.request(method, where, json=body, headers=odd_admin).is_success
        assert len(statements) == 1, statements


def test_the_statements_of_each_option_of_the_registration_line(
    odd_client: TestClient, odd_admin: Headers, statements: list[str]
) -> None:
    """The caller's included, BEGIN not. With a history the row is read before the change."""
    leaf = odd_client.post("/api/v1/leaves", json={"name": unique("leaf")}, headers=odd_admin).json()
    path = f"/api/v1/leaves/{leaf['id']}"
    calls = [
        ("POST", "/api/v1/leaves", {"name": unique("leaf")}, 2),
        ("PATCH", path, {"position": 3}, 4),
        ("DELETE", path, None, 3),
        ("GET", f"{path}/history", None, 5),
        ("POST", f"{path}/restore", None, 5),
        ("GET", f"{path}/history", None, 3),
    ]
    for method, where, body, count in calls:
        statements.clear()
        assert odd_client.request(method, where, json=body, headers=odd_admin).is_success
        assert len(statements) == count, (method, where, statements)


class Scratch(Record, registry=orm_registry(metadata=sa.MetaData())):
    """`Record` in a metadata that no other test sees."""


class Counted(dict[str, Any]):
    """Counts the look-ups of a node's children, and forbids iteration."""

    looked_up: int = 0

    def get(self, key: str, default: Any = None) -> Any:
        """Return a child."""
        Counted.looked_up += 1
        return super().get(key, default)

    def __iter__(self) -> Iterator[str]:
        raise AssertionError("the way to a route goes through its neighbours")

    keys = values = items = __iter__  # type: ignore[assignment]  # each would go through all of them


def many_entities(count: int) -> Registry:
    """Return a registry with this number of entities."""
    registry, declare = Registry(), cast("Any", type(Scratch))
    for number in range(count):
        members = {"__annotations__": {"name": str}, "__module__": __name__}
        model = declare(f"Thing{number}Of{count}", (IntegerKey, Scratch), members, table=True)
        registry.register(model, read=ANYONE, write=SIGNED_IN, operations=("get",), path=f"things-{number}-of-{count}")
    return registry


def look_ups(databases: Databases, count: int) -> int:
    """Return the number of nodes that a get visits, in an application with this number of entities."""
    registry = many_entities(count)
    last = list(registry.registrations.values())[-1].resource
    app = create_app(Settings(database_url=databases.empty("sqlite"), **QUIET), registry, Scratch.metadata)
    assert isinstance(app, Application)
    with TestClient(app) as client:
        last.table.create(app.state.database.engine)
        node = app.route_tree._root.children[""].children["api"].children["v1"]
        node.children = Counted(node.children)
        Counted.looked_up = 0
        assert client.get(f"/api/v1/{last.path}/1").json()["detail"] == f"There is no {last.name} with the id 1."
    return Counted.looked_up


def test_the_time_to_find_a_route_does_not_grow_with_the_entities(databases: Databases) -> None:
    """It is the same with 2 and with 100: one look-up by name for each segment, and no iteration."""
    assert look_ups(databases, 2) == look_ups(databases, 100) == 1
