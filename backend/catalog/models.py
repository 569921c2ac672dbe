"""Categories and books."""

from decimal import Decimal

from sqlalchemy import CheckConstraint
from sqlmodel import Field

from backend.crud.model import Entity


class Category(Entity, table=True):
    """A shelf."""

    name: str = Field(min_length=1, max_length=100, unique=True)
    description: str | None = Field(default=None, max_length=2000)


class Book(Entity, table=True):
    """A book for sale; `price` in euros."""

    __table_args__ = (
        CheckConstraint("price > 0", name="price_positive"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
    )

    title: str = Field(min_length=1, max_length=255, unique=True)
    author: str = Field(min_length=1, max_length=255, index=True)
    description: str | None = Field(default=None, max_length=5000)
    price: Decimal = Field(gt=0, max_digits=10, decimal_places=2)
    stock: int = Field(default=0, ge=0)
    category_id: int = Field(foreign_key="categories.id", index=True)
    cover_image: str | None = Field(default=None, max_length=500)
