"""Triggers, policies and rules of the database that refuse a write, with an error or without one."""

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import Field
from starlette.testclient import TestClient

import rowhouse
from rowhouse import ANYONE, Registry
from rowhouse.core.errors import ConflictError
from rowhouse.core.settings import Settings
from rowhouse.db.compiled import CompiledStatement
from rowhouse.db.integrity import ForeignKeyError
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.model import IntegerKey, Record
from tests.conftest import QUIET, unique
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.metadata import new_metadata

API = "/api/v1"
REFUSED = "The database did not store it: a rule of the database refused."
SKIPPED, RAISING, FIXED = 14, 98, 99
metadata = new_metadata()
mapped = sa.orm.registry(metadata=metadata)


class Base(IntegerKey, Record, registry=mapped):
    """A class in a metadata of its own."""


class Part(Base, table=True):
    """Triggers skip some of its rows."""

    name: str = Field(max_length=40, unique=True)
    size: int
    whole_id: int | None = Field(default=None, foreign_key="parts.id", ondelete="CASCADE", index=True)


class Kept(Base, table=True):
    """Its rows are never deleted, and deleted rows would be kept."""

    size: int


class Guarded(Base, table=True):
    """On PostgreSQL it has a policy; on SQLite a trigger does the same."""

    size: int


class Ruled(Base, table=True):
    """On PostgreSQL it has rules instead of triggers."""

    size: int


class Named(Record, registry=mapped):
    """A class with a key of its own."""


class Word(Named, table=True):
    """On PostgreSQL a trigger changes its key."""

    code: str = Field(primary_key=True, max_length=40)


class Weighed(Base, table=True):
    """A value that is taken ends the transaction on SQLite."""

    size: int = Field(unique=True)


RAISED = [(1, "one", "P0002"), (2, "two", "MY001"), (3, "three", "55000"), (4, "four", "0A000"), (5, "five", "42501")]
RAISES = {1: "ROLLBACK", 2: "ABORT", 3: "FAIL", 4: "ROLLBACK", 5: "ROLLBACK"}
STATEMENTS = {
    "postgresql": [
        (
            "CREATE FUNCTION lower_code() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.code = lower(NEW.code); RETURN NEW; END $$"
        ),
        "CREATE TRIGGER lower_code BEFORE INSERT ON words FOR EACH ROW EXECUTE FUNCTION lower_code()",
        f"CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.size = {SKIPPED} THEN RETURN NULL; "
        + " ".join(
            f"ELSIF NEW.size = {size} THEN RAISE EXCEPTION '{said}' USING ERRCODE = '{state}';"
            for size, said, state in RAISED
        )
        + " END IF; RETURN NEW; END $$",
        (
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF OLD.size = {RAISING} THEN RAISE EXCEPTION 'kept'; END IF; "
            f"IF OLD.size < {FIXED} THEN RETURN OLD; END IF; RETURN NULL; END $$"
        ),
        "CREATE TRIGGER skip BEFORE INSERT OR UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION skip()",
        "CREATE TRIGGER keep BEFORE DELETE ON parts FOR EACH ROW EXECUTE FUNCTION keep()",
        "CREATE TRIGGER keep BEFORE DELETE ON kepts FOR EACH ROW EXECUTE FUNCTION keep()",
        "ALTER TABLE guardeds ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE guardeds FORCE ROW LEVEL SECURITY",
        "CREATE POLICY small ON guardeds USING (true) WITH CHECK (size < 5)",
        "CREATE RULE no_delete AS ON DELETE TO ruleds DO INSTEAD NOTHING",
        "CREATE RULE no_update AS ON UPDATE TO ruleds DO INSTEAD NOTHING",
    ],
    "sqlite": [
        f"CREATE TRIGGER skip BEFORE INSERT ON parts WHEN NEW.size = {SKIPPED} BEGIN SELECT RAISE(IGNORE); END",
        f"CREATE TRIGGER skips BEFORE UPDATE ON parts WHEN NEW.size = {SKIPPED} BEGIN SELECT RAISE(IGNORE); END",
        *(
            f"CREATE TRIGGER {said} BEFORE INSERT ON parts WHEN NEW.size = {size} "
            f"BEGIN SELECT RAISE({RAISES[size]}, '{said}'); END"
            for size, said, _ in RAISED
        ),
        f"CREATE TRIGGER keep BEFORE DELETE ON parts WHEN OLD.size >= {FIXED} BEGIN SELECT RAISE(IGNORE); END",
        f"CREATE TRIGGER raises BEFORE DELETE ON parts WHEN OLD.size = {RAISING} BEGIN SELECT RAISE(ABORT, 'kept'); END",
        f"CREATE TRIGGER keeps BEFORE DELETE ON kepts WHEN OLD.size >= {FIXED} BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER small BEFORE INSERT ON guardeds WHEN NEW.size > 4 BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER smaller BEFORE UPDATE ON guardeds WHEN NEW.size > 4 BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER no_delete BEFORE DELETE ON ruleds BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER no_update BEFORE UPDATE ON ruleds BEGIN SELECT RAISE(IGNORE); END",
        "DROP TABLE weigheds",
        (
            "CREATE TABLE weigheds (id INTEGER PRIMARY KEY, size INTEGER NOT NULL UNIQUE ON CONFLICT ROLLBACK, "
            "created_at TEXT NOT NULL, updated_at TEXT NOT NULL)"
        ),
    ],
}


def create_tables(connection: sa.Connection) -> None:
    """Create the tables and the rules."""
    metadata.create_all(connection)
    for statement in STATEMENTS[connection.dialect.name]:
        connection.exec_driver_sql(statement)


def application(url: str) -> FastAPI:
    """Return the application."""
    registry = Registry(API)
    for entity in (Part, Kept, Guarded, Ruled, Weighed, Word):
        registry.register(entity, read=ANYONE, write=ANYONE, history=entity is Part, soft_delete=entity is Kept)
    return rowhouse.create_app(registry, settings=Settings(database_url=url, **QUIET), metadata=metadata, title="Parts")


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """The application."""
    with QuickClient(application(databases.prepared(backend, "database_rules", create_tables))) as client:
        yield client


def part(size: int = 20, **values: Any) -> dict[str, Any]:
    """Return the body of a new part."""
    return {"name": unique("part"), "size": size, **values}


def total(client: TestClient, path: str = "parts") -> int:
    """Return the number of rows."""
    found: int = client.get(f"{API}/{path}").json()["total"]
    return found


def test_a_row_that_is_not_stored(client: TestClient) -> None:
    """Alone, in a batch, in an upsert and in a file; nothing is stored, and the error names the element."""
    before = total(client)
    refused = client.post(f"{API}/parts", json=part(SKIPPED))
    assert (refused.status_code, refused.json()["code"], refused.json()["detail"]) == (409, "conflict", REFUSED)
    for path in ("batch", "batch?on=name"):
        refused = client.post(f"{API}/parts/{path}", json=[part(), part(SKIPPED), part()])
        assert (refused.status_code, refused.json()["detail"]) == (409, f"Element 1: {REFUSED}")
        assert refused.json()["errors"][0]["loc"] == ["body", 1]
    lines = f"name,size\r\n{unique('part')},20\r\n{unique('part')},{SKIPPED}\r\n"
    refused = client.post(f"{API}/parts/import", content=lines, headers={"Content-Type": "text/csv"})
    assert (refused.status_code, refused.json()["detail"]) == (409, f"Line 3: {REFUSED}")
    assert total(client) == before


def test_a_change_that_is_not_stored(client: TestClient) -> None:
    """Alone, in a batch and in an upsert."""
    first, second = (client.post(f"{API}/parts", json=part()).json() for _ in range(2))
    refused = client.patch(f"{API}/parts/{first['id']}", json={"size": SKIPPED})
    assert (refused.status_code, refused.json()["detail"]) == (409, REFUSED)
    changes = [{"id": first["id"], "size": 30}, {"id": second["id"], "size": SKIPPED}]
    refused = client.patch(f"{API}/parts/batch", json=changes)
    assert (refused.status_code, refused.json()["detail"]) == (409, f"Element 1: {REFUSED}")
    rows = [{"name": row["name"], "size": size} for row, size in ((first, 30), (second, SKIPPED))]
    refused = client.post(f"{API}/parts/batch?on=name", json=rows)
    assert (refused.status_code, refused.json()["detail"]) == (409, f"Element 1: {REFUSED}")
    assert [client.get(f"{API}/parts/{row['id']}").json() for row in (first, second)] == [first, second]


@pytest.mark.parametrize("path", ["parts", "kepts"])
def test_a_row_that_is_not_deleted(client: TestClient, path: str) -> None:
    """Alone and in a batch, also where deleted rows are kept."""
    bodies = [part(size) if path == "parts" else {"size": size} for size in (20, FIXED)]
    free, fixed = (client.post(f"{API}/{path}", json=body).json()["id"] for body in bodies)
    refused = client.delete(f"{API}/{path}/{fixed}")
    assert (refused.status_code, refused.json()["detail"]) == (409, REFUSED)
    refused = client.delete(f"{API}/{path}/batch?ids={free},{fixed}")
    assert (refused.status_code, refused.json()["detail"]) == (409, f"Element 1: {REFUSED}")
    assert [client.get(f"{API}/{path}/{key}").status_code for key in (free, fixed)] == [200, 200]
    assert client.delete(f"{API}/{path}/{free}").status_code == 204
    assert client.delete(f"{API}/{path}/{free}").status_code == 404


def test_a_trigger_raises_for_a_delete(client: TestClient) -> None:
    """A batch names the element."""
    keys = [client.post(f"{API}/parts", json=part(size)).json()["id"] for size in (20, RAISING, 20)]
    refused = client.delete(f"{API}/parts/{keys[1]}")
    assert (refused.status_code, refused.json()["detail"]) == (409, "The values break the rule kept.")
    refused = client.delete(f"{API}/parts/batch?ids={','.join(map(str, keys))}")
    assert (refused.status_code, refused.json()["detail"]) == (409, "Element 1: The values break the rule kept.")
    assert [client.get(f"{API}/parts/{key}").status_code for key in keys] == [200, 200, 200]


@pytest.mark.parametrize(
    ("error", "status", "left"), [(ForeignKeyError(), 204, 0), (ConflictError("All at once are too many."), 409, 2)]
)
def test_what_fails_together_may_go_one_by_one(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, error: ConflictError, status: int, left: int
) -> None:
    """As where a trigger counts the rows of a statement. A reference may also be gone meanwhile."""
    keys = [client.post(f"{API}/parts", json=part()).json()["id"] for _ in range(2)]
    run, errors = UnitOfWork.run, [error]

    def fail_once(self: UnitOfWork, statement: CompiledStatement, *rest: Any) -> Any:
        """Fail at the first delete."""
        if statement.text.startswith("DELETE") and errors:
            raise errors.pop()
        return run(self, statement, *rest)

    monkeypatch.setattr(UnitOfWork, "run", fail_once)
    told = client.delete(f"{API}/parts/batch?ids={keys[0]},{keys[1]}")
    assert told.status_code == status, told.text
    assert sum(client.get(f"{API}/parts/{key}").status_code == 200 for key in keys) == left


def test_rows_that_go_with_others_are_deleted(client: TestClient) -> None:
    """SQLite does not return the rows that a cascade has deleted."""
    whole = client.post(f"{API}/parts", json=part()).json()["id"]
    inner = client.post(f"{API}/parts", json=part(whole_id=whole)).json()["id"]
    assert client.delete(f"{API}/parts/batch?ids={whole},{inner}").status_code == 204
    assert client.get(f"{API}/parts/{inner}").status_code == 404


@pytest.mark.parametrize(("size", "said"), [(size, said) for size, said, _ in RAISED])
def test_a_trigger_raises(client: TestClient, size: int, said: str) -> None:
    """With any code of PostgreSQL; on SQLite also with the end of the transaction."""
    before = total(client)
    for path, body in (("parts", part(size)), ("parts/batch", [part(), part(size)])):
        refused = client.post(f"{API}/{path}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "conflict"), refused.text
        assert refused.json()["detail"].endswith(f"The values break the rule {said}.")
    lines = f"name,size\r\n{unique('part')},20\r\n{unique('part')},{size}\r\n"
    refused = client.post(f"{API}/parts/import", content=lines, headers={"Content-Type": "text/csv"})
    assert refused.status_code == 409
    assert total(client) == before


def test_a_value_that_ends_the_transaction(client: TestClient) -> None:
    """SQLite can end it for a constraint, too: the error is that of the constraint."""
    assert client.post(f"{API}/weigheds", json={"size": 1}).status_code == 201
    for path, body in (("weigheds", {"size": 1}), ("weigheds/batch", [{"size": 2}, {"size": 1}])):
        refused = client.post(f"{API}/{path}", json=body)
        assert (refused.status_code, refused.json()["code"]) == (409, "duplicate")
    assert total(client, "weigheds") == 1


def test_a_policy_refuses_a_value(client: TestClient) -> None:
    """No right is missing, so it is no 503."""
    row = client.post(f"{API}/guardeds", json={"size": 1}).json()["id"]
    for refused in (
        client.post(f"{API}/guardeds", json={"size": 6}),
        client.patch(f"{API}/guardeds/{row}", json={"size": 6}),
        client.patch(f"{API}/guardeds/batch", json=[{"id": row, "size": 6}]),
    ):
        assert (refused.status_code, refused.json()["detail"].endswith(REFUSED)) == (409, True), refused.text
    assert client.get(f"{API}/guardeds/{row}").json()["size"] == 1


def test_a_rule_does_nothing_instead(client: TestClient) -> None:
    """PostgreSQL refuses RETURNING, which no repetition helps."""
    row = client.post(f"{API}/ruleds", json={"size": 1}).json()["id"]
    for refused in (
        client.patch(f"{API}/ruleds/{row}", json={"size": 6}),
        client.delete(f"{API}/ruleds/{row}"),
        client.delete(f"{API}/ruleds/batch?ids={row}"),
    ):
        assert (refused.status_code, refused.json()["detail"].endswith(REFUSED)) == (409, True), refused.text
    assert client.get(f"{API}/ruleds/{row}").json()["size"] == 1


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_trigger_changes_a_key(client: TestClient) -> None:
    """The rows of a batch come back in order."""
    made = client.post(f"{API}/words/batch", json=[{"code": code} for code in ("B", "a", "C")])
    assert (made.status_code, [row["code"] for row in made.json()]) == (201, ["b", "a", "c"])
    assert total(client, "words") == 3
