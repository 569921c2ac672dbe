"""Categories, books and reviews."""

from decimal import Decimal
from typing import Annotated

from sqlalchemy import CheckConstraint, Index, UniqueConstraint
from sqlmodel import Field

from rowhouse import CREATE_ONLY, Entity, SearchIndex


class Category(Entity, table=True):
    """A category of books."""

    name: str = Field(min_length=1, max_length=100, unique=True)
    description: str | None = Field(default=None, max_length=2000, index=False)


class Book(Entity, table=True):
    """A book for sale; `price` in euros."""

    __table_args__ = (
        CheckConstraint("price > 0", name="price_positive"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        SearchIndex("title", "author"),
        # Equal values are in the order of the key, as in lists. So a page reads only its own rows, however many are
        # equal.
        Index(None, "author", "id"),
        Index(None, "category_id", "id"),
        Index(None, "price", "id"),
    )

    title: str = Field(min_length=1, max_length=255, unique=True)
    author: str = Field(min_length=1, max_length=255)
    description: str | None = Field(default=None, max_length=5000, index=False)
    price: Decimal = Field(gt=0, max_digits=10, decimal_places=2)
    # It changes with every order. Lists by stock are too rare to pay for an index.
    stock: int = Field(default=0, ge=0, index=False)
    category_id: int = Field(foreign_key="categories.id")
    cover_image: str | None = Field(default=None, max_length=500, index=False)


class Review(Entity, table=True):
    """A review of a book by one reader. It is deleted with the book."""

    __table_args__ = (
        UniqueConstraint("author_id", "book_id"),
        CheckConstraint("rating BETWEEN 1 AND 5", name="rating_one_to_five"),
        SearchIndex("comment"),
        # Lists of one book's reviews, in the order of their ids.
        Index(None, "book_id", "id"),
    )

    author_id: int = Field(foreign_key="users.id")
    book_id: Annotated[int, CREATE_ONLY] = Field(foreign_key="books.id", ondelete="CASCADE")
    # It has five values, and is filtered among the reviews of one book.
    rating: int = Field(ge=1, le=5, index=False)
    comment: str | None = Field(default=None, max_length=5000, index=False)
