"""Rowhouse for `perf.growth`: the list of books counts up to a bound, and a second one, of the same table, to the end.

uvicorn perf.growing:create_app --factory
"""

from decimal import Decimal

from fastapi import FastAPI
from sqlalchemy import MetaData
from sqlalchemy.orm import registry as orm_registry
from sqlmodel import Field

from app.catalog.models import Book, Category
from app.catalog.service import BookCRUD
from app.main import create_app as create_rowhouse
from rowhouse.auth.models import ADMIN
from rowhouse.auth.routes import auth
from rowhouse.core.policy import ANYONE
from rowhouse.entities.model import Entity
from rowhouse.registration.registry import Registry

BOUND = 10_000


class Beside(Entity, registry=orm_registry(metadata=MetaData())):
    """Another view of a table that a class has already."""


class CountedBook(Beside, table=True):
    """A book in a list whose total is counted to the end."""

    __tablename__ = "books"

    title: str = Field(unique=True, max_length=255)
    price: Decimal = Field(max_digits=10, decimal_places=2, index=False)


registry = Registry("/api/v1")
registry.include(auth)
registry.register(
    Book, read=ANYONE, write=ADMIN, search=("title", "author"), crud=BookCRUD, soft_delete=True, exact_count_limit=BOUND
)
registry.register(Category, read=ANYONE, write=ADMIN)
registry.register(CountedBook, read=ANYONE, write=ADMIN, operations=("list",))


def create_app() -> FastAPI:
    """The application."""
    return create_rowhouse(registry=registry)
