"""The entities of the library, in a metadata of their own."""

from decimal import Decimal
from typing import Annotated, Optional

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, Relationship, SQLModel

from rowhouse import CREATE_ONLY, Entity
from tests.sample_entities.metadata import new_metadata, table_of

metadata = new_metadata()
mapped = registry(metadata=metadata)


class LibraryTable(SQLModel, registry=mapped):
    """A table that is no entity."""


class LibraryEntity(Entity, registry=mapped):
    """`Entity` in the library's metadata."""


class BookLabel(LibraryTable, table=True):
    """Pairs books with labels. It is not registered."""

    __tablename__ = "book_labels"

    book_id: int | None = Field(default=None, foreign_key="books.id", primary_key=True)
    label_id: int | None = Field(default=None, foreign_key="labels.id", primary_key=True, index=True)


class Loan(LibraryEntity, table=True):
    """Pairs books with readers, and is an entity: a caller sees their own. Its ticket is unique, its desk fixed."""

    book_id: int = Field(foreign_key="books.id", index=True)
    reader_id: int = Field(foreign_key="readers.id", index=True)
    owner_id: int = Field(foreign_key="users.id", index=True)
    ticket: str | None = Field(default=None, max_length=40, unique=True)
    desk: Annotated[str, CREATE_ONLY] = Field(default="hall", max_length=40, index=False)


class Publisher(LibraryEntity, table=True):
    """Only administrators read them."""

    name: str = Field(max_length=60, index=True)
    books: list["Book"] = Relationship(back_populates="house")


class Shelf(LibraryEntity, table=True):
    """It is not registered."""

    __tablename__ = "shelves"

    name: str = Field(max_length=60)


class Author(LibraryEntity, table=True):
    """Has a portrait at most, and the labels of the books, which no single link leads to."""

    name: str = Field(max_length=60, index=True)
    portrait: Optional["Portrait"] = Relationship(back_populates="sitter", sa_relationship_kwargs={"uselist": False})
    books: list["Book"] = Relationship(back_populates="writer")
    labels: list["Label"] = Relationship(
        sa_relationship_kwargs={
            "secondary": lambda: sa.join(table_of(Book), table_of(BookLabel)),
            "primaryjoin": "Author.id == Book.author_id",
            "secondaryjoin": "BookLabel.label_id == Label.id",
            "viewonly": True,
        }
    )


class Portrait(LibraryEntity, table=True):
    """One for each author."""

    author_id: int = Field(foreign_key="authors.id", unique=True)
    painter: str = Field(default="unknown", max_length=60)
    shelf_id: int | None = Field(default=None, foreign_key="shelves.id", index=True)
    sitter: Author = Relationship(back_populates="portrait")
    shelf: Shelf | None = Relationship()


class Label(LibraryEntity, table=True):
    """A hidden one is the administrators'."""

    name: str = Field(max_length=40, index=True)
    is_hidden: bool = False
    books: list["Book"] = Relationship(back_populates="labels", link_model=BookLabel)


class Reader(LibraryEntity, table=True):
    """Reads books."""

    name: str = Field(max_length=60)
    books: list["Book"] = Relationship(
        back_populates="readers", link_model=Loan, sa_relationship_kwargs={"viewonly": True}
    )


class Book(LibraryEntity, table=True):
    """Refers to an author and a publisher, and perhaps to the book before it; has labels, readers and reviews."""

    title: str = Field(max_length=100, index=True)
    pages: int | None = Field(default=None, ge=1)
    price: Decimal = Field(default=Decimal("1.00"), max_digits=6, decimal_places=2)
    author_id: int | None = Field(default=None, foreign_key="authors.id", index=True)
    publisher_id: int | None = Field(default=None, foreign_key="publishers.id", index=True)
    prequel_id: int | None = Field(default=None, foreign_key="books.id", index=True)
    writer: Author | None = Relationship(back_populates="books")
    house: Publisher | None = Relationship(back_populates="books")
    prequel: Optional["Book"] = Relationship(
        back_populates="sequels", sa_relationship_kwargs={"remote_side": "Book.id"}
    )
    sequels: list["Book"] = Relationship(back_populates="prequel")
    labels: list[Label] = Relationship(back_populates="books", link_model=BookLabel)
    readers: list[Reader] = Relationship(
        back_populates="books", link_model=Loan, sa_relationship_kwargs={"viewonly": True}
    )
    reviews: list["Review"] = Relationship(back_populates="book")
    hidden_labels: list[Label] = Relationship(
        sa_relationship_kwargs={
            "secondary": "book_labels",
            "secondaryjoin": "and_(BookLabel.label_id == Label.id, Label.is_hidden)",
            "viewonly": True,
        }
    )
    peers: list["Book"] = Relationship(
        sa_relationship_kwargs={
            "primaryjoin": "and_(foreign(Book.author_id) == remote(Book.author_id), "
            "foreign(Book.publisher_id) == remote(Book.publisher_id))",
            "uselist": True,
            "viewonly": True,
        }
    )
    praise: list["Review"] = Relationship(
        sa_relationship_kwargs={
            "viewonly": True,
            "primaryjoin": "and_(Review.book_id == Book.id, Review.rating == 5)",
        }
    )


class Review(LibraryEntity, table=True):
    """A caller sees their own."""

    book_id: int = Field(foreign_key="books.id", index=True)
    rating: int = Field(ge=1, le=5)
    owner_id: int = Field(foreign_key="users.id", index=True)
    book: Book = Relationship(back_populates="reviews")


def create_tables(connection: sa.Connection) -> None:
    """Every table of the library, the accounts' too, on an empty database."""
    metadata.create_all(connection)
