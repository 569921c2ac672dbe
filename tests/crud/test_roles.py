"""A policy with an unknown role stops the start; and reservations without an interval."""

from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa

from rowhouse import ANYONE, RegistrationError, Registry, Router, include_accounts, role
from rowhouse.crud.overlap_guard import IntervalSet
from rowhouse.registration.build import build
from tests.sample_entities.shop.models import Category

SQLITE = sa.make_url("sqlite://").get_dialect()()


def written_by_staff(registry: Registry) -> None:
    """Register a class for a role."""
    registry.register(Category, read=ANYONE, write=role("staff"))


def routed_for_staff(registry: Registry) -> None:
    """Add a route for a role."""
    router = Router(prefix="/reports")

    @router.get("", policy=role("staff"))
    def read_reports() -> None:
        """Do nothing."""

    registry.include(router)


@pytest.mark.parametrize(("add", "place"), [(written_by_staff, "Category"), (routed_for_staff, "read_reports")])
def test_a_role_that_no_account_can_have_stops_the_start(add: Callable[[Registry], None], place: str) -> None:
    """The message names the class or the route, and the known roles."""
    registry = Registry()
    include_accounts(registry, roles=("driver",), operations=())
    add(registry)
    with pytest.raises(RegistrationError, match=rf"{place}: no account can have the role staff; .*admin, driver, user"):
        build([registry], SQLITE)


def test_a_declared_role_starts() -> None:
    """As a role of the project."""
    registry = Registry()
    include_accounts(registry, roles=("staff",), operations=())
    written_by_staff(registry)
    assert build([registry], SQLITE).cruds


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"roles": ("Driver",)}, "role 'Driver' is not a role name; use up to 32 lower-case letters"),
        ({"roles": ("driver",), "sign_up": ("rider",)}, r"sign_up=\('rider',\) must name roles of driver, user"),
        ({"roles": ("driver",), "sign_up": ("admin",)}, r"sign_up=\('admin',\) must name roles of driver, user"),
        ({"sign_up": ()}, r"sign_up=\(\) must name roles of user"),
    ],
)
def test_invalid_role_names_are_named(words: dict[str, Any], message: str) -> None:
    """At start-up, with the correct form."""
    with pytest.raises(RegistrationError, match=f"include_accounts: {message}"):
        include_accounts(Registry(), operations=(), **words)


def test_roles_that_differ_in_a_dash_are_two() -> None:
    """Both are in the schema of an account."""
    registry = Registry()
    include_accounts(registry, roles=("on-call", "on_call"))
    role_schema = registry.registrations["users"].resource.schemas.public.model_json_schema()["$defs"]["Role"]
    assert role_schema["enum"] == ["user", "on-call", "on_call", "admin"]


def test_a_row_that_reserves_nothing_is_no_conflict() -> None:
    """An interval set ignores a missing reservation."""
    held = IntervalSet([])
    held.add(None)
    assert held._intervals == {}
