"""A clinic's registry over the sample tables: entities for staff only, and hand-written steps."""

from typing import Annotated, Any

from fastapi import Depends
from starlette.responses import Response

from rowhouse.auth.accounts import include_accounts
from rowhouse.core.policy import ANYONE, SIGNED_IN, role
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.dependencies import crud_of
from rowhouse.http.dependencies import CallerDep, SessionDep, UnitDep
from rowhouse.http.routing import Router
from rowhouse.operations.route import row_id
from rowhouse.registration.registry import Registry, public_schema
from tests.sample_entities.shop.models import Book, Category, ChargePoint

STAFF = role("admin")
VETS = role("admin", "driver")
CategoryPublic = public_schema(Category)
AppointmentsDep = Annotated[CRUDBase[Category], crud_of(Category)]
PricesDep = Annotated[CRUDBase[Book], crud_of(Book)]
Id = Annotated[int, row_id("Appointment")]


def names(session: SessionDep) -> list[str]:
    """A dependency that takes the session."""
    return [] if session.get(Category, 0) is None else ["none"]


def clinic() -> Registry:
    """Return the registry: staff read and write appointments, anyone reads prices, and vets write them."""
    registry = Registry("/api/v1")
    include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
    registry.register(Category, path="appointments", read=STAFF, write=STAFF)
    registry.register(Book, path="prices", read=ANYONE, write=VETS)
    registry.register(ChargePoint, path="rooms", read=SIGNED_IN, write=STAFF)
    registry.include(appointments)
    registry.include(others)
    return registry


appointments = Router(prefix="/appointments", tags=["appointments"])
others = Router(tags=["others"])


@appointments.post("/{id}/confirm", response_model=CategoryPublic)
def confirm_appointment(key: Id, found: AppointmentsDep, unit: UnitDep, response: Response) -> dict[str, Any]:
    """A step, as in `bookings/`, without a policy of its own."""
    row = found.get(unit, key)
    response.headers["ETag"] = found.version(row)
    return dict(row)


@appointments.get("/{id}/notes")
def read_notes(key: Id, found: AppointmentsDep) -> str:
    """A route that takes only the verbs."""
    return f"{found.resource.name} {key}"


@appointments.get("/today")
def read_today(session: SessionDep) -> int:
    """A route that reads through the session, at the entity's path."""
    return int(session.is_active)


@appointments.get("/free", policy=ANYONE)
def read_free(session: SessionDep) -> int:
    """A route with `policy=ANYONE`."""
    return int(session.is_active)


@appointments.post("/{id}/weigh", policy=VETS)
def weigh(key: Id, found: AppointmentsDep, unit: UnitDep) -> str:
    """A route that vets may call too."""
    return str(found.get(unit, key)["name"])


@appointments.get("/names")
def read_names(found: Annotated[list[str], Depends(names)]) -> int:
    """A route that takes the session in a dependency."""
    return len(found)


@others.get("/reports/both")
def read_both(prices: PricesDep, found: AppointmentsDep) -> bool:
    """A route that reaches two entities. The policies of both apply."""
    return prices.resource is not found.resource


@others.get("/reports/prices")
def read_prices(prices: PricesDep, unit: UnitDep) -> list[Any]:
    """A route that reaches a public entity. It reads a token that is sent."""
    return [prices.resource.name, unit.caller.role if unit.caller else None]


@others.api_route("/rooms/all", methods=["GET", "PUT"], include_in_schema=False)
def handle_rooms(unit: UnitDep) -> bool:
    """A route with the read policy for one method and the write policy for the other."""
    return unit.write


@others.get("/statistics")
def read_statistics(session: SessionDep) -> int:
    """A route that takes a session and reaches no entity."""
    return int(session.is_active)


@others.get("/mine")
def read_mine(caller: CallerDep, size: int = 1) -> str:
    """A route that takes only the caller."""
    return caller.role * size


@others.get("/clock")
def read_clock() -> str:
    """A route that takes nothing."""
    return "noon"
