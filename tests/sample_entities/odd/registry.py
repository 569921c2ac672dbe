"""The registry of the odd entities: overridden rules, hand-written routes, and one line for each entity."""

from typing import Annotated

import sqlalchemy as sa
from fastapi import Path
from sqlalchemy.orm import aliased
from sqlmodel import col, select
from starlette.responses import Response

from rowhouse.auth.accounts import include_accounts
from rowhouse.auth.models import ADMIN
from rowhouse.core.errors import ConflictError, InvalidInputError, InvalidRequestError, NotFoundError
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.core.security import Caller
from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.transition import Transition
from rowhouse.http.dependencies import CallerDep, SessionDep
from rowhouse.http.routing import Router
from rowhouse.registration.registry import Registry, public_schema
from tests.sample_entities.odd.base import metadata
from tests.sample_entities.odd.columns import Everything, Maybe, Preset
from tests.sample_entities.odd.owned import Crate, Exhibit
from tests.sample_entities.odd.shapes import (
    Branch,
    Diary,
    Graft,
    Leaf,
    Notice,
    Parcel,
    Period,
    Reserved,
    Sealed,
    Seat,
    Station,
    UnreasonablyLongNamedStorageCompartment,
    Vein,
)

HEAVIEST = 1000
PUBLIC = ("public", "sold")
SICK = "sick"


class TooHeavyError(ConflictError):
    """409: a parcel that nobody can carry."""

    code = "too_heavy"


class BranchCRUD(CRUDBase[Branch]):
    """Branches: what grows from a sick one is the administrators', which asks the same table a second time."""

    def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Administrators see all, others what does not grow from a sick branch."""
        if caller is not None and caller.is_admin:
            return None
        parent = aliased(Branch)
        sick = sa.exists().where(col(parent.id) == col(Branch.parent_id), col(parent.name) == SICK)
        return sa.not_(sick)


class ParcelCRUD(CRUDBase[Parcel]):
    """Parcels: hidden ones are the administrators', the slug follows the name, none grows lighter or too heavy."""

    def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Administrators see all, others what is public."""
        return None if caller is not None and caller.is_admin else col(Parcel.status).in_(PUBLIC)

    def prepare(self, values: Row, *, stored: Row | None, unit: UnitOfWork) -> None:
        """The slug is made from the name."""
        if "name" in values:
            values["slug"] = values["name"].casefold().replace(" ", "-")

    def validate(self, row: Parcel, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Refuse what cannot be carried, and a parcel that shrinks."""
        if row.weight > HEAVIEST:
            raise TooHeavyError
        if stored is not None and row.weight < stored["weight"]:
            raise InvalidInputError.at("body", "weight", message="a parcel does not grow lighter")


registry = Registry("/api/v1")
register = registry.register
by_hand = Router(tags=["by hand"], description="Routes that were written by hand.")
PUBLIC_NOTICE = public_schema(Notice)


@by_hand.get("/notices/{id}", response_model=PUBLIC_NOTICE, operation_id="get_notice")
def get_notice(
    notice_id: Annotated[int, Path(alias="id", ge=-(2**31), lt=2**31)], session: SessionDep, response: Response
) -> Notice:
    """A notice, by hand."""
    notice = session.get(Notice, notice_id)
    if notice is None:
        raise NotFoundError
    response.headers["X-By-Hand"] = "yes"
    return notice


@by_hand.post("/notices/{id}/shout", response_model=PUBLIC_NOTICE, operation_id="shout_notice")
def shout_notice(
    notice_id: Annotated[int, Path(alias="id", ge=-(2**31), lt=2**31)], _caller: CallerDep, session: SessionDep
) -> Notice:
    """A change through the session, by hand."""
    notice = session.get(Notice, notice_id)
    if notice is None:
        raise NotFoundError
    notice.message = notice.message.upper()
    session.flush()
    return notice


@by_hand.get("/diaries/latest", response_model=list[str], operation_id="read_latest_diary")
def read_latest_diary(caller: CallerDep, session: SessionDep) -> list[str]:
    """The caller's last entry: a path that a generated route with an id would also take."""
    mine = select(Diary.entry).where(Diary.owner_id == caller.id).order_by(col(Diary.id).desc())
    return list(session.exec(mine.limit(1)))


def require_remark(stored: Row, _unit: UnitOfWork) -> None:
    """Refuse what is shut away without a word."""
    if not stored["remark"]:
        raise InvalidRequestError("Say in remark why it is shut away.")


# The states are plain text. Who may open is more than who may write.
OPEN = Transition("open", ("new", "shut"), "open", field="state", policy=SIGNED_IN)
SHUT_AWAY = Transition(
    "shut-away", ("open",), "shut", field="state", check=require_remark, summary="Lock it up", description="With a key."
)

registry.include(by_hand)
include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
register(Branch, read=ANYONE, write=ADMIN, search=("name",), crud=BranchCRUD, soft_delete=True, history=True)
register(Crate, read=ANYONE, owner="keeper_id", search=("label", "place"), soft_delete=True, history=True)
register(Diary, owner="owner_id", search=("entry",), soft_delete=True, history=True)
register(Everything, write=ADMIN, search=("text", "short_text"), soft_delete=True, history=True)
register(Exhibit, owner="owner_id", search=("title", "note"), soft_delete=True, history=True)
register(Graft, read=ANYONE, write=ADMIN)
register(Leaf, read=ANYONE, write=SIGNED_IN, search=("name",), path="leaves", soft_delete=True, history=True)
register(Maybe, write=ADMIN, search=("text", "short_text"), soft_delete=True, history=True)
register(Notice, read=ANYONE, owner="author_id", search=("message",), soft_delete=True, history=True)
register(Parcel, read=ANYONE, write=SIGNED_IN, crud=ParcelCRUD, soft_delete=True, history=True)
register(Period, write=ADMIN, soft_delete=True, history=True)
register(Preset, write=ADMIN)
register(Reserved, write=ADMIN, search=("search", "search_text"), path="reserved", history=True)
register(
    Sealed,
    read=ANYONE,
    write=ADMIN,
    search=("serial", "state"),
    path="sealed",
    soft_delete=True,
    history=True,
    steps=(OPEN, SHUT_AWAY),
)
register(Seat, write=ADMIN, exact_count_limit=100_000, soft_delete=True, history=True)
register(Station, read=ANYONE, write=ADMIN, search=("code",), soft_delete=True, history=True)
register(UnreasonablyLongNamedStorageCompartment, read=ANYONE, write=ADMIN, soft_delete=True)
register(Vein, read=ANYONE, write=ADMIN, soft_delete=True)


def create_tables(connection: sa.Connection) -> None:
    """Every odd table, the accounts' too, on an empty database."""
    metadata.create_all(connection)
