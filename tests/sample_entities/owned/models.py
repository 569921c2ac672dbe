"""Invoices that own their lines, and others that own rows, in a metadata of their own."""

from datetime import datetime
from typing import Annotated, Optional

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, Relationship, SQLModel

from rowhouse import CREATE_ONLY, Entity, NoOverlap
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()
mapped = registry(metadata=metadata)


class OwnedTable(SQLModel, registry=mapped):
    """A table without timestamps."""


class OwnedEntity(Entity, registry=mapped):
    """`Entity` in this metadata."""


class Product(OwnedEntity, table=True):
    """A hidden one is the administrators'."""

    name: str = Field(max_length=40)
    is_hidden: bool = False


class Room(OwnedEntity, table=True):
    """One stay at a time."""

    name: str = Field(max_length=40)


class Invoice(OwnedEntity, table=True):
    """Owns rows of each kind. `products` leads to rows that it does not own."""

    number: str = Field(max_length=40, unique=True)
    lines: list["InvoiceLine"] = Relationship(back_populates="invoice", cascade_delete=True)
    approvals: list["Approval"] = Relationship(cascade_delete=True)
    notes: list["Note"] = Relationship(sa_relationship_kwargs={"cascade": "all, delete-orphan"})
    stays: list["Stay"] = Relationship(cascade_delete=True)
    reminders: list["Reminder"] = Relationship(sa_relationship_kwargs={"cascade": "all, delete"})
    receipts: list["Receipt"] = Relationship(cascade_delete=True)
    stamp: Optional["Stamp"] = Relationship(cascade_delete=True, sa_relationship_kwargs={"uselist": False})


class InvoiceLine(OwnedEntity, table=True):
    """Owns discounts itself."""

    __table_args__ = (
        sa.UniqueConstraint("invoice_id", "position"),
        sa.CheckConstraint("quantity < 1000", name="few"),
    )

    invoice_id: int = Field(foreign_key="invoices.id")
    product_id: int | None = Field(default=None, foreign_key="products.id", index=True)
    code: Annotated[str, CREATE_ONLY] = Field(default="A", max_length=10)
    position: int
    quantity: int = Field(default=1, ge=1)
    invoice: Invoice = Relationship(back_populates="lines")
    discounts: list["Discount"] = Relationship(cascade_delete=True)


class Discount(OwnedEntity, table=True):
    """Of a line."""

    line_id: int = Field(foreign_key="invoice_lines.id", index=True)
    percent: int = Field(ge=1, le=100)


class Approval(OwnedEntity, table=True):
    """Only administrators write it."""

    invoice_id: int = Field(foreign_key="invoices.id", index=True)
    name: str = Field(max_length=40)


class Note(OwnedEntity, table=True):
    """Everyone reads it, and its author writes it."""

    invoice_id: int = Field(foreign_key="invoices.id", index=True)
    author_id: int = Field(foreign_key="users.id", index=True)
    text: str = Field(max_length=40)


class Stay(OwnedEntity, table=True):
    """One at a time for each room."""

    __table_args__ = (NoOverlap("room_id", "start_time", "end_time"),)

    invoice_id: int = Field(foreign_key="invoices.id", index=True)
    room_id: int = Field(foreign_key="rooms.id", index=True)
    start_time: datetime
    end_time: datetime


class Reminder(OwnedEntity, table=True):
    """It may lose its invoice, which does not own it."""

    invoice_id: int | None = Field(default=None, foreign_key="invoices.id", index=True)


class Receipt(OwnedEntity, table=True):
    """No request creates or changes it."""

    invoice_id: int = Field(foreign_key="invoices.id", index=True)


class Stamp(OwnedEntity, table=True):
    """One for each invoice."""

    invoice_id: int = Field(foreign_key="invoices.id", unique=True)


class Country(OwnedTable, table=True):
    """A key that clients set, and no timestamps. It is no member of its own regions."""

    code: str = Field(primary_key=True, max_length=10)
    name: str = Field(default="", max_length=40)
    towns: list["Town"] = Relationship(cascade_delete=True)
    stamps: list["Postage"] = Relationship(cascade_delete=True)


class Town(OwnedTable, table=True):
    """A key of two columns, one of which is the owner."""

    country_code: str = Field(foreign_key="country.code", primary_key=True, max_length=10)
    name: str = Field(primary_key=True, max_length=40)
    people: int = 0


class Postage(OwnedTable, table=True):
    """A key that the server sets."""

    id: int | None = Field(default=None, primary_key=True)
    country_code: str = Field(foreign_key="country.code", index=True, max_length=10)
    name: str = Field(max_length=40)


class Cart(OwnedEntity, table=True):
    """Only its owner sees it."""

    owner_id: int = Field(foreign_key="users.id", index=True)
    articles: list["Article"] = Relationship(cascade_delete=True)


class Article(OwnedEntity, table=True):
    """The owner of the cart sees it."""

    cart_id: int = Field(foreign_key="carts.id", index=True)
    name: str = Field(max_length=40)


class Folder(OwnedEntity, table=True):
    """Would own itself."""

    parent_id: int | None = Field(default=None, foreign_key="folders.id", index=True)
    folders: list["Folder"] = Relationship(cascade_delete=True)


def create_tables(connection: sa.Connection) -> None:
    """Every table, the accounts' too, on an empty database."""
    metadata.create_all(connection)
