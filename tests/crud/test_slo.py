"""The service level objective of an operation.

From the setting, the registration line or a hand-written route, and stated in the document.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.core.settings import Settings
from rowhouse.http.routing import Router
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import QUIET
from tests.databases import Databases
from tests.sample_entities.application import create_app
from tests.sample_entities.shop.models import Book, Category

router = Router(prefix="/books", tags=["books"])


@router.get("/slowest", openapi_extra={"x-slo-ms": 700})
def read_slowest() -> int:
    """A route with an SLO of its own."""
    return 1


@router.post("/quickest", status_code=201, openapi_extra={"x-slo-ms": 20})
def make_quickest() -> int:
    """A route with an SLO of its own that accepts an Idempotency-Key."""
    return 1


@router.get("/usual")
def read_usual() -> int:
    """A route without one."""
    return 1


def bounds(database_url: str, **settings: Any) -> Iterator[tuple[str, Any]]:
    """Every operation and its SLO, of an application with one entity that states one and one that does not."""
    registry = Registry()
    registry.register(Book, read=ANYONE, write=SIGNED_IN, soft_delete=True, history=True, slo_ms=450)
    registry.register(Category, read=ANYONE, write=SIGNED_IN)
    registry.include(router)
    document = create_app(Settings(database_url=database_url, **QUIET, **settings), registry).openapi()
    for path, item in document["paths"].items():
        for operation in item.values():
            yield path.removeprefix("/api/v1"), operation["x-slo-ms"]


@pytest.mark.parametrize(("settings", "usual"), [({}, 200), ({"slo_ms": 90}, 90)])
def test_every_operation_states_its_own_bound(settings: dict[str, Any], usual: int, databases: Databases) -> None:
    """The SLO of an entity applies to its generated operations, not to hand-written ones.

    Batches, files, restore and history count as generated.
    """
    own = {"/books/slowest": 700, "/books/quickest": 20, "/books/usual": usual}
    found = list(bounds(databases.empty("sqlite"), **settings))
    assert {"/books/export", "/books/import", "/books/batch", "/books/{id}/restore", "/books/{id}/history"} <= dict(
        found
    ).keys()
    for path, bound in found:
        assert bound == own.get(path, 450 if path.startswith("/books") else usual), path


@pytest.mark.parametrize("slo_ms", [0, -5])
def test_a_bound_that_nothing_can_keep_is_refused(slo_ms: int) -> None:
    """Nothing is registered."""
    registry = Registry()
    with pytest.raises(RegistrationError, match=f"Category: slo_ms={slo_ms} must be"):
        registry.register(Category, write=SIGNED_IN, slo_ms=slo_ms)
    assert registry.registrations == {}
