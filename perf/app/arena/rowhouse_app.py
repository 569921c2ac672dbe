"""The CRUD profile of HttpArena on Rowhouse: an adopted table, and its four routes written by hand.

The rules (http-arena.com, CRUD): a list is one statement, and its `total` counts the items in the response; a get is
cached for 200 ms in the process, and `X-Cache` says whether it was; POST inserts or changes by the client's key; PUT
removes the item from the cache.
"""

import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import FastAPI, Path, Query
from pydantic import BaseModel
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlmodel import Field, col
from starlette.responses import JSONResponse, Response

from rowhouse import ANYONE, Adopted, Registry, Router, Row, UnitDep, create_app, crud_of

CACHE_SECONDS = 0.2


class Item(Adopted, table=True):
    """A thing that is sold, as HttpArena's table has it."""

    __tablename__ = "items"

    id: int = Field(primary_key=True)
    name: str
    category: str
    price: int
    quantity: int
    active: bool = True
    tags: list[str] = Field(default_factory=list, sa_type=JSONB)
    rating_score: int = 0
    rating_count: int = 0


class NewItem(BaseModel):
    """The body of POST."""

    id: int
    name: str
    category: str
    price: int
    quantity: int


class Changes(BaseModel):
    """The body of PUT."""

    name: str
    price: int
    quantity: int


LIST = (
    sa.select(*Item.__table__.columns)  # type: ignore[attr-defined]  # of SQLModel
    .where(col(Item.category) == sa.bindparam("category"))
    .order_by(col(Item.id))
    .limit(sa.bindparam("limit"))
    .offset(sa.bindparam("offset"))
)
ItemsDep = Annotated[Any, crud_of(Item)]
ItemId = Annotated[int, Path(alias="id")]
router = Router(prefix="/items", tags=["items"])
cache: dict[int, tuple[float, bytes]] = {}


def shown(row: Mapping[str, Any]) -> Row:
    """Return an item as the profile shows it."""
    found = dict(row)
    return {**found, "rating": {"score": found.pop("rating_score"), "count": found.pop("rating_count")}}


def page_of(rows: Sequence[Row], page: int, limit: int) -> dict[str, Any]:
    """Return the page of these rows."""
    return {"items": [shown(row) for row in rows], "total": len(rows), "page": page, "limit": limit}


@router.get("", policy=ANYONE)
def list_items(
    unit: UnitDep,
    category: str = "electronics",
    page: Annotated[int, Query(ge=1)] = 1,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> Response:
    """Return a page of a category, by one statement."""
    values = {"category": category, "limit": limit, "offset": (page - 1) * limit}
    return JSONResponse(page_of(unit.fetch(LIST, values), page, limit))


@router.get("/{id}", policy=ANYONE)
def get_item(item_id: ItemId, unit: UnitDep, items: ItemsDep) -> Response:
    """Return an item, from the cache if it was read within 200 ms."""
    expires, body = cache.get(item_id, (0.0, b""))
    is_cached = expires > time.monotonic()
    if not is_cached:
        body = bytes(JSONResponse(shown(items.get(unit, item_id))).body)
        cache[item_id] = time.monotonic() + CACHE_SECONDS, body
    return Response(body, media_type="application/json", headers={"X-Cache": "HIT" if is_cached else "MISS"})


@router.post("", policy=ANYONE, status_code=201)
def create_item(body: NewItem, unit: UnitDep) -> Response:
    """Create an item, or change the one that has its id."""
    values = body.model_dump()
    stored = insert(Item).values({**values, "active": True, "tags": [], "rating_score": 0, "rating_count": 0})
    unit.session.execute(stored.on_conflict_do_update(index_elements=["id"], set_=values))
    return JSONResponse(values, 201)


@router.put("/{id}", policy=ANYONE)
def update_item(item_id: ItemId, body: Changes, unit: UnitDep, items: ItemsDep) -> Response:
    """Change an item, and forget what the cache has of it."""
    row = items.update(unit, item_id, body.model_dump())
    unit.on_commit(partial(cache.pop, item_id, None))
    return JSONResponse(shown(row))


registry = Registry("/crud")
registry.register(Item, read=ANYONE, write=ANYONE, operations=("list", "get"))
registry.include(router)


def create_arena() -> FastAPI:
    """Return the application."""
    return create_app(registry)
