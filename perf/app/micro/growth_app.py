"""Rowhouse for `perf.growth`: two lists of one table, with a bounded and with an exact total.

Serve it with `uvicorn perf.app.micro.growth_app:create_app --factory`.
"""

from decimal import Decimal

from fastapi import FastAPI
from sqlalchemy import MetaData
from sqlalchemy.orm import registry as orm_registry
from sqlmodel import Field

from app.catalog.models import Book, Category
from app.catalog.service import BookCRUD
from app.main import create_app as create_rowhouse
from rowhouse import ADMIN, ANYONE, Entity, Registry, include_accounts

BOUND = 10_000


class SecondClass(Entity, registry=orm_registry(metadata=MetaData())):
    """A base for a second class on a table, in metadata of its own."""


class CountedBook(SecondClass, table=True):
    """A book in a list with an exact total."""

    __tablename__ = "books"

    title: str = Field(unique=True, max_length=255)
    price: Decimal = Field(max_digits=10, decimal_places=2, index=False)


registry = Registry("/api/v1")
include_accounts(registry, operations=())
registry.register(
    Book, read=ANYONE, write=ADMIN, search=("title", "author"), crud=BookCRUD, soft_delete=True, exact_count_limit=BOUND
)
registry.register(Category, read=ANYONE, write=ADMIN)
registry.register(CountedBook, read=ANYONE, write=ADMIN, operations=("list",))


def create_app() -> FastAPI:
    """Return the application."""
    return create_rowhouse(registry=registry)
