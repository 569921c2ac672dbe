"""A write is stored if and only if the client got a success. Any failure before the response undoes it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from httpx2 import Response as Answer
from pydantic import TypeAdapter
from starlette.responses import Response
from starlette.testclient import TestClient

from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import CompiledStatement
from rowhouse.db.unit_of_work import UnitOfWork
from tests.conftest import unique

Headers = Mapping[str, str]
Row = dict[str, Any]
CATEGORIES = "/api/v1/categories"


class OnceError(Exception):
    """The error that a fault raises once."""


class Fault:
    """A step of a request that fails at its next call, after it has done its work. `has_struck` is True after that."""

    def __init__(self, patch: pytest.MonkeyPatch, target: Any, name: str) -> None:
        self.has_struck = False
        original = getattr(target, name)

        def broken(*arguments: Any, **options: Any) -> Any:
            result = original(*arguments, **options)
            if not self.has_struck and (target is not CompiledStatement or arguments[0].writes):
                self.has_struck = True
                raise OnceError
            return result

        patch.setattr(target, name, broken)


STEPS: Mapping[str, tuple[Any, str]] = {
    "the conversion of what a statement returned": (CompiledStatement, "execute"),
    "the version": (CRUDBase, "version"),
    "the body": (Response, "render"),
    "the headers": (Response, "init_headers"),
    "the last flush": (UnitOfWork, "expire_session"),
    "the validation of a hand-written route's answer": (TypeAdapter, "validate_python"),
}


class Shop(NamedTuple):
    """A client of the sample shop, signed in as administrator."""

    client: TestClient
    boss: Headers

    def call(self, method: str, path: str, **options: Any) -> Answer:
        """Send a request as administrator."""
        headers = {**self.boss, **options.pop("headers", {})}
        return self.client.request(method, path, headers=headers, **options)

    def stored(self, prefix: str) -> list[Row]:
        """Return the categories and books whose names have this prefix."""
        names = self.call("GET", CATEGORIES, params={"name__startswith": prefix}).json()["items"]
        books = self.call("GET", "/api/v1/books", params={"title__startswith": prefix}).json()["items"]
        users = self.call("GET", "/api/v1/users", params={"email__startswith": prefix}).json()["items"]
        return [*names, *books, *users]

    def make(self, prefix: str) -> Row:
        """Create a category."""
        made: Row = self.call("POST", CATEGORIES, json={"name": f"{prefix} first"}).json()
        return made


def create(shop: Shop, prefix: str, _made: Row) -> Answer:
    """Create a row."""
    return shop.call("POST", CATEGORIES, json={"name": f"{prefix} x"})


def create_once(shop: Shop, prefix: str, _made: Row) -> Answer:
    """Create a row with an idempotency key, which the same transaction claims."""
    return shop.call("POST", CATEGORIES, json={"name": f"{prefix} x"}, headers={"Idempotency-Key": prefix})


def create_batch(shop: Shop, prefix: str, _made: Row) -> Answer:
    """Create several rows."""
    return shop.call("POST", f"{CATEGORIES}/batch", json=[{"name": f"{prefix} {number}"} for number in range(3)])


def import_file(shop: Shop, prefix: str, _made: Row) -> Answer:
    """Import a file."""
    body = f"name\n{prefix} a\n{prefix} b\n"
    return shop.call("POST", f"{CATEGORIES}/import", content=body, headers={"Content-Type": "text/csv"})


def update(shop: Shop, prefix: str, made: Row) -> Answer:
    """Change a row."""
    return shop.call("PATCH", f"{CATEGORIES}/{made['id']}", json={"description": prefix})


def put(shop: Shop, prefix: str, made: Row) -> Answer:
    """Change a row by PUT, which locks it first."""
    body = {"description": prefix}
    return shop.call("PUT", f"{CATEGORIES}/{made['id']}", json=body, headers={"If-Match": "*"})


def update_batch(shop: Shop, prefix: str, made: Row) -> Answer:
    """Change several rows."""
    return shop.call("PATCH", f"{CATEGORIES}/batch", json=[{"id": made["id"], "description": prefix}])


def delete(shop: Shop, _prefix: str, made: Row) -> Answer:
    """Delete a row."""
    return shop.call("DELETE", f"{CATEGORIES}/{made['id']}")


def delete_batch(shop: Shop, _prefix: str, made: Row) -> Answer:
    """Delete several rows."""
    return shop.call("DELETE", f"{CATEGORIES}/batch", params={"ids": made["id"]})


def sign_up(shop: Shop, prefix: str, _made: Row) -> Answer:
    """Call a hand-written route that creates a row."""
    body = {"email": f"{prefix}@example.com", "password": "correct-horse", "full_name": "Somebody"}
    return shop.client.post("/api/v1/users", json=body)


def rename(shop: Shop, prefix: str, _made: Row) -> Answer:
    """Call a hand-written route that changes a row."""
    return shop.call("PATCH", "/api/v1/users/me", json={"full_name": prefix})


WRITES = (create, create_once, create_batch, import_file, update, put, update_batch, delete, delete_batch, sign_up)


@pytest.fixture
def shop(client: TestClient, admin: Headers) -> Shop:
    """The sample shop."""
    return Shop(client, admin)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("write", WRITES)
def test_a_write_that_fails_changes_nothing(
    shop: Shop, write: Callable[[Shop, str, Row], Answer], step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of a write fails once. Sent again, the write succeeds and its rows are stored."""
    prefix = unique("atomic")
    made = shop.make(prefix)
    before = shop.stored(prefix)
    with monkeypatch.context() as patch:
        fault = Fault(patch, *STEPS[step])
        answer = write(shop, prefix, made)
    after = shop.stored(prefix)
    assert (answer.status_code >= 500, after == before) == (fault.has_struck, fault.has_struck), answer.text
    if fault.has_struck:
        assert write(shop, prefix, made).is_success
        assert shop.stored(prefix) != before


@pytest.mark.parametrize("step", ["the body", "the headers", "the validation of a hand-written route's answer"])
def test_a_hand_written_change_is_undone_too(shop: Shop, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change through the session."""
    before = shop.call("GET", "/api/v1/users/me").json()
    with monkeypatch.context() as patch:
        fault = Fault(patch, *STEPS[step])
        assert rename(shop, unique("name"), {}).status_code == 500
    assert fault.has_struck
    assert shop.call("GET", "/api/v1/users/me").json() == before


def test_every_step_is_taken_by_some_write(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that no write takes would test nothing."""
    for step, target in STEPS.items():
        struck = set()
        for write in WRITES:
            made = shop.make(unique("taken"))
            with monkeypatch.context() as patch:
                fault = Fault(patch, *target)
                write(shop, unique("taken"), made)
                struck.add(fault.has_struck)
        assert True in struck, step
