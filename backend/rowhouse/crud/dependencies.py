"""`crud_of`: gives a hand-written route the verbs and rules of an entity.

Example:
    BookingsDep = Annotated[BookingCRUD, crud_of(Booking)]
"""

from functools import cache
from typing import Any

from fastapi import Depends, Request
from sqlmodel import SQLModel

from rowhouse.crud.base import CRUDBase
from rowhouse.http.route_tree import ENTRY


@cache
def crud_of(model: type[SQLModel]) -> Any:
    """Return the dependency on the `CRUDBase` of a registered table class, as its generated routes use it.

    Example:
        BookingsDep = Annotated[BookingCRUD, crud_of(Booking)]

    A route that depends on it has the entity's policies. In `app.dependency_overrides` it is
    `crud_of(Booking).dependency`. With several registries it is that of the route's own registry, or of the first
    that registers the class.
    """

    def find(request: Request) -> CRUDBase[Any]:
        by_prefix = request.app.state.cruds
        entry = request.scope.get(ENTRY)
        own = by_prefix[entry.prefix] if entry is not None else {}
        found: CRUDBase[Any] = next(cruds[model] for cruds in (own, *by_prefix.values()) if model in cruds)
        return found

    find.entity = model  # type: ignore[attr-defined]  # a mark on the function, read by `hand_written`
    return Depends(find)
