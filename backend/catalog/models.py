"""Categories, books and what readers say of them."""

from decimal import Decimal
from typing import Annotated

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field

from backend.crud.model import CREATE_ONLY, Entity
from backend.crud.search_index import SearchIndex


class Category(Entity, table=True):
    """A shelf."""

    name: str = Field(min_length=1, max_length=100, unique=True)
    description: str | None = Field(default=None, max_length=2000)


class Book(Entity, table=True):
    """A book for sale; `price` in euros."""

    __table_args__ = (
        CheckConstraint("price > 0", name="price_positive"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        SearchIndex("title", "author"),
    )

    title: str = Field(min_length=1, max_length=255, unique=True)
    author: str = Field(min_length=1, max_length=255, index=True)
    description: str | None = Field(default=None, max_length=5000)
    price: Decimal = Field(gt=0, max_digits=10, decimal_places=2)
    stock: int = Field(default=0, ge=0)
    category_id: int = Field(foreign_key="categories.id", index=True)
    cover_image: str | None = Field(default=None, max_length=500)


class Review(Entity, table=True):
    """What one reader says of one book; it goes when the book does."""

    __table_args__ = (
        UniqueConstraint("author_id", "book_id"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating_one_to_five"),
        SearchIndex("comment"),
    )

    author_id: int = Field(foreign_key="users.id")
    book_id: Annotated[int, CREATE_ONLY] = Field(foreign_key="books.id", ondelete="CASCADE", index=True)
    rating: int = Field(ge=1, le=5)
    comment: str | None = Field(default=None, max_length=5000)
