"""The entities of the suite: those of the sample registries. `tests/app/product_cases.py` has those of the product."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from rowhouse.registration.registry import Registration, Registry
from tests.openapi_documents import Document, Factory, resolved_document
from tests.sample_entities.application import create_app, create_odd_app
from tests.sample_entities.odd.registry import registry as odd
from tests.sample_entities.shop.registry import registry as shop


@dataclass(frozen=True, eq=False)
class Api:
    """A registry, the function that makes its application, and the method and path of each hand-written operation.

    `role` is one that accounts may sign up with.
    """

    name: str
    registry: Registry
    factory: Factory
    hand_written: frozenset[tuple[str, str]]
    role: str = "driver"

    @property
    def document(self) -> Document:
        """The OpenAPI document, which `tests/crud/test_openapi.py` compares with the registry."""
        return resolved_document(self.factory)


@dataclass(frozen=True)
class Case:
    """One entity of one registry."""

    api: Api
    path: str

    @property
    def registration(self) -> Registration:
        """The registration of the entity."""
        return self.api.registry.registrations[self.path]

    def __str__(self) -> str:
        return f"{self.api.name}-{self.path}"


ACCOUNTS = frozenset(
    {
        ("get", "/users/me"),
        ("patch", "/users/me"),
        ("post", "/auth/login"),
        ("post", "/auth/logout"),
        ("post", "/auth/refresh"),
        ("post", "/users"),
        ("post", "/users/me/password"),
    }
)
ODD = Api("odd", odd, create_odd_app, ACCOUNTS | {("post", "/notices/{id}/shout")})
SHOP = Api("shop", shop, create_app, ACCOUNTS | {("post", "/books/{id}/stock")})
# The odd entities have every column type and mark; the shop adds accounts and a rule against overlaps.
SAMPLES = [*(Case(ODD, path) for path in odd.registrations), Case(SHOP, "bookings"), Case(SHOP, "users")]


def cases_of(api: Api) -> list[Case]:
    """Return every entity of an API."""
    return [Case(api, path) for path in api.registry.registrations]


def every_entity(
    *operations: str,
    where: Callable[[Registration], bool] = lambda _registration: True,
    where_case: Callable[[Case], bool] = lambda _case: True,
) -> pytest.MarkDecorator:
    """Run a test over every entity that has these operations and that satisfies both conditions."""

    def holds(case: Case) -> bool:
        registration = case.registration
        return set(operations) <= set(registration.operations) and where(registration) and where_case(case)

    return pytest.mark.every_entity.with_args(holds)  # called, it would take the condition for the test


def chosen(function: Any, cases: Sequence[Case]) -> list[Case] | None:
    """Return the cases that the `every_entity` of a test selects; None for a test without it."""
    for mark in getattr(function, "pytestmark", ()):
        if mark.name == "every_entity":
            (holds,) = mark.args
            return [case for case in cases if holds(case)]
    return None


def columns_unlike(registration: Registration) -> bool:
    """Return True if it has columns that no other entity has. The defaults of `Preset` do not matter for a list."""
    return registration.resource.path != "presets"


# They differ in whatever a rule without columns can depend on: the key, the owner, hand-written routes, accounts.
FEW = frozenset({"everythings", "leaves", "notices", "parcels", "bookings", "users"})


def few(registration: Registration) -> bool:
    """Return True for a few entities: enough for a rule that no column changes."""
    return registration.resource.path in FEW
