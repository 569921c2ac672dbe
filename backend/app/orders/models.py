"""Carts and orders."""

from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel
from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field

from rowhouse import CREATE_ONLY, READ_ONLY, Entity, ExactDecimal


class OrderStatus(StrEnum):
    """The state of an order."""

    PLACED = "placed"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class CartItem(Entity, table=True):
    """Copies of a book in a customer's cart. It is deleted with the book."""

    __table_args__ = (
        UniqueConstraint("user_id", "book_id"),
        CheckConstraint("quantity >= 1", name="quantity_positive"),
    )

    user_id: int = Field(foreign_key="users.id")
    book_id: Annotated[int, CREATE_ONLY] = Field(foreign_key="books.id", ondelete="CASCADE", index=True)
    # A cart has at most a thousand items.
    quantity: int = Field(ge=1, index=False)


class Order(Entity, table=True):
    """An order of all books in a cart; `total` in euros."""

    __table_args__ = (
        # Lists of one customer's orders, and of the orders to ship, in the order of their ids.
        Index(None, "customer_id", "id"),
        Index(None, "status", "id"),
    )

    customer_id: int = Field(foreign_key="users.id")
    status: Annotated[OrderStatus, READ_ONLY] = OrderStatus.PLACED
    total: Annotated[Decimal, READ_ONLY] = Field(max_digits=15, decimal_places=2, index=False)


class OrderLine(Entity, table=True):
    """Copies of a book in an order, with the title and the price at the time of the order."""

    __table_args__ = (
        UniqueConstraint("order_id", "book_id"),
        CheckConstraint("quantity >= 1", name="quantity_positive"),
    )

    order_id: int = Field(foreign_key="orders.id")
    book_id: int = Field(foreign_key="books.id", index=True)
    title: str = Field(max_length=255)
    unit_price: Decimal = Field(max_digits=10, decimal_places=2)
    quantity: int


class OrderLinePublic(BaseModel):
    """A line in the response of its order."""

    book_id: int
    title: str
    unit_price: ExactDecimal
    quantity: int
