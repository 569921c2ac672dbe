"""Rowhouse for `perf.growth`: two lists of one table, with a bounded and with an exact total, and labels by a link.

Serve it with `uvicorn perf.app.micro.growth_app:create_app --factory`.
"""

from decimal import Decimal

from fastapi import FastAPI
from sqlalchemy import MetaData
from sqlalchemy.orm import registry as orm_registry
from sqlmodel import Field, Relationship, SQLModel

from app.catalog.models import Book, Category
from app.catalog.service import BookCRUD
from app.main import create_app as create_rowhouse
from rowhouse import ADMIN, ANYONE, Entity, Registry, include_accounts

BOUND = 10_000


second = orm_registry(metadata=MetaData())


class SecondClass(Entity, registry=second):
    """A base for a second class on a table, in metadata of its own."""


class SecondTable(SQLModel, registry=second):
    """A base for a table that is no entity."""


class BookLabel(SecondTable, table=True):
    """Pairs books with labels."""

    __tablename__ = "growth_book_labels"

    book_id: int = Field(foreign_key="books.id", primary_key=True)
    label_id: int = Field(foreign_key="growth_labels.id", primary_key=True, index=True)


class Label(SecondClass, table=True):
    """The label of 20 books."""

    __tablename__ = "growth_labels"

    name: str = Field(max_length=40, index=True)


class CountedBook(SecondClass, table=True):
    """A book in a list with an exact total."""

    __tablename__ = "books"

    title: str = Field(unique=True, max_length=255)
    price: Decimal = Field(max_digits=10, decimal_places=2, index=False)
    labels: list[Label] = Relationship(link_model=BookLabel)


registry = Registry("/api/v1")
include_accounts(registry, operations=())
registry.register(
    Book, read=ANYONE, write=ADMIN, search=("title", "author"), crud=BookCRUD, soft_delete=True, exact_count_limit=BOUND
)
registry.register(Category, read=ANYONE, write=ADMIN)
registry.register(Label, read=ANYONE, write=ADMIN)
registry.register(CountedBook, read=ANYONE, write=ADMIN, operations=("list",))


def create_app() -> FastAPI:
    """Return the application."""
    return create_rowhouse(registry=registry)
