"""The CRUD profile of HttpArena on FastAPI, as its own entry is built: async routes over a pool of connections.

The statements are SQLAlchemy's text, without an ORM. The rules are in `perf.app.arena.rowhouse_app`.
"""

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

CACHE_SECONDS = 0.2
LIST = text("SELECT * FROM items WHERE category = :category ORDER BY id LIMIT :limit OFFSET :offset")
GET = text("SELECT * FROM items WHERE id = :id")
CREATE = text(
    "INSERT INTO items (id, name, category, price, quantity, active, tags, rating_score, rating_count)"
    " VALUES (:id, :name, :category, :price, :quantity, true, '[]', 0, 0) ON CONFLICT (id) DO UPDATE"
    " SET name = :name, category = :category, price = :price, quantity = :quantity"
)
UPDATE = text("UPDATE items SET name = :name, price = :price, quantity = :quantity WHERE id = :id RETURNING *")
engine = create_async_engine(os.environ.get("DATABASE_URL", "postgresql+psycopg://"))
cache: dict[int, tuple[float, bytes]] = {}


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


def shown(row: Any) -> dict[str, Any]:
    """Return an item as the profile shows it."""
    found = dict(row)
    return {**found, "rating": {"score": found.pop("rating_score"), "count": found.pop("rating_count")}}


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    """Close the pool at the end."""
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


@app.get("/crud/items")
async def list_items(
    category: str = "electronics",
    page: Annotated[int, Query(ge=1)] = 1,
    limit: Annotated[int, Query(ge=1, le=50)] = 10,
) -> Response:
    """Return a page of a category, by one statement."""
    async with engine.connect() as connection:
        found = await connection.execute(LIST, {"category": category, "limit": limit, "offset": (page - 1) * limit})
    items = [shown(row) for row in found.mappings()]
    return JSONResponse({"items": items, "total": len(items), "page": page, "limit": limit})


@app.get("/crud/items/{item_id}")
async def get_item(item_id: int) -> Response:
    """Return an item, from the cache if it was read within 200 ms."""
    expires, body = cache.get(item_id, (0.0, b""))
    if expires > time.monotonic():
        return Response(body, media_type="application/json", headers={"X-Cache": "HIT"})
    async with engine.connect() as connection:
        row = (await connection.execute(GET, {"id": item_id})).mappings().first()
    if row is None:
        raise HTTPException(404)
    body = bytes(JSONResponse(shown(row)).body)
    cache[item_id] = time.monotonic() + CACHE_SECONDS, body
    return Response(body, media_type="application/json", headers={"X-Cache": "MISS"})


@app.post("/crud/items", status_code=201)
async def create_item(body: NewItem) -> Response:
    """Create an item, or change the one that has its id."""
    async with engine.begin() as connection:
        await connection.execute(CREATE, body.model_dump())
    return JSONResponse(body.model_dump(), 201)


@app.put("/crud/items/{item_id}")
async def update_item(item_id: int, body: Changes) -> Response:
    """Change an item, and forget what the cache has of it."""
    async with engine.begin() as connection:
        row = (await connection.execute(UPDATE, {"id": item_id, **body.model_dump()})).mappings().first()
    if row is None:
        raise HTTPException(404)
    cache.pop(item_id, None)
    return JSONResponse(shown(row))


def create_arena() -> FastAPI:
    """Return the application. Reads DATABASE_URL."""
    return app
