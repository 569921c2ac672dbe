"""`crud_of`: how a hand-written route gets the verbs and rules of an entity.

BookingsDep = Annotated[BookingCRUD, crud_of(Booking)]
"""

from typing import Any

from fastapi import Depends, Request
from sqlmodel import SQLModel

from backend.crud.base import CRUDBase


def crud_of(model: type[SQLModel]) -> Any:
    """The dependency that gives the `CRUDBase` of a registered table class, the very one that its generated routes use."""

    def find(request: Request) -> CRUDBase[Any]:
        found: CRUDBase[Any] = request.app.state.cruds[model]
        return found

    return Depends(find)
