"""The registry of the owning entities, the rules of lines, and the application."""

from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from sqlmodel import col

import rowhouse
from rowhouse import (
    ADMIN,
    ANYONE,
    SIGNED_IN,
    Caller,
    CRUDBase,
    InvalidInputError,
    NotFoundError,
    Registry,
    Row,
    Settings,
    UnitOfWork,
    include_accounts,
)
from tests.sample_entities.owned.models import (
    Approval,
    Article,
    Cart,
    Country,
    Discount,
    Folder,
    Invoice,
    InvoiceLine,
    Note,
    Postage,
    Product,
    Receipt,
    Reminder,
    Room,
    Stamp,
    Stay,
    Town,
    metadata,
)

UNLUCKY, SOLD_OUT, HIDDEN = 13, 14, 77


class ProductCRUD(CRUDBase[Product]):
    """Hidden ones are the administrators'."""

    def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Administrators see all."""
        return None if caller is not None and caller.is_admin else col(Product.is_hidden).is_(False)


class InvoiceLineCRUD(CRUDBase[InvoiceLine]):
    """A line at the position 77 is the administrators', and no line has the quantity 13 or 14."""

    def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Administrators see all."""
        return None if caller is not None and caller.is_admin else col(InvoiceLine.position) != HIDDEN

    def prepare(self, values: Row, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Write codes in capitals."""
        if stored is None:
            values["code"] = values["code"].upper()

    def validate(self, row: InvoiceLine, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Refuse the two quantities, each with an error of another kind."""
        if row.quantity == UNLUCKY:
            raise InvalidInputError.at("body", "quantity", message="this number is unlucky")
        if row.quantity == SOLD_OUT:
            raise NotFoundError("There are no such lines any more.")


class ArticleCRUD(CRUDBase[Article]):
    """An article belongs to the owner of its cart."""

    def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Return the condition of the articles in the caller's carts."""
        owner = None if caller is None else caller.id
        return col(Article.cart_id).in_(sa.select(col(Cart.id)).where(col(Cart.owner_id) == owner))


registry = Registry("/api/v1")
include_accounts(registry)
registry.register(Product, read=ANYONE, write=ADMIN, crud=ProductCRUD)
registry.register(Room, read=ANYONE, write=ADMIN)
registry.register(Invoice, read=ANYONE, write=SIGNED_IN, history=True)
registry.register(InvoiceLine, read=ANYONE, write=SIGNED_IN, crud=InvoiceLineCRUD, history=True, soft_delete=True)
registry.register(Discount, read=ANYONE, write=SIGNED_IN)
registry.register(Approval, read=ANYONE, write=ADMIN)
registry.register(Note, read=ANYONE, write=SIGNED_IN, owner="author_id")
registry.register(Stay, read=ANYONE, write=SIGNED_IN)
registry.register(Reminder, read=ANYONE, write=SIGNED_IN)
registry.register(Receipt, read=ANYONE, operations=("list", "get"))
registry.register(Stamp, read=ANYONE, write=SIGNED_IN)
registry.register(Country, read=ANYONE, write=SIGNED_IN, soft_delete=True)
registry.register(Town, read=ANYONE, write=SIGNED_IN)
registry.register(Postage, read=ANYONE, write=SIGNED_IN)
registry.register(Cart, owner="owner_id")
registry.register(Article, write=SIGNED_IN, crud=ArticleCRUD)
registry.register(Folder, read=ANYONE, write=SIGNED_IN)


def create_app(settings: Settings | None = None, **words: Any) -> FastAPI:
    """Return the application."""
    return rowhouse.create_app(registry, settings=settings, metadata=metadata, title="Owned", **words)
