"""The bookshop as the SQLModel and FastAPI tutorials write it: the base line of the benchmark.

It must not be improved: the session is a `yield` dependency, endpoints are plain `def`, responses go through
`response_model`, and the connection pool and the number of threads are the defaults.
"""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal

import jwt
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Query, status
from fastapi.security import OAuth2PasswordBearer
from sqlalchemy import Engine
from sqlmodel import Field, Session, SQLModel, col, create_engine, func, select


def _now() -> datetime:
    return datetime.now(UTC)


class Category(SQLModel, table=True):
    """The table that a book's `category_id` refers to."""

    __tablename__ = "categories"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=255)


class User(SQLModel, table=True):
    """The row that an endpoint with a token loads."""

    __tablename__ = "users"

    id: int | None = Field(default=None, primary_key=True)
    email: str = Field(max_length=255, unique=True)
    full_name: str = Field(max_length=255)
    hashed_password: str
    is_active: bool = True


class BookBase(SQLModel):
    """The members that a client may set."""

    title: str = Field(min_length=1, max_length=255)
    author: str = Field(min_length=1, max_length=255)
    description: str | None = None
    price: Decimal = Field(gt=0, max_digits=10, decimal_places=2)
    stock: int = Field(default=0, ge=0)
    category_id: int | None = Field(default=None, foreign_key="categories.id")
    cover_image: str | None = None


class Book(BookBase, table=True):
    """The table."""

    __tablename__ = "books"

    id: int | None = Field(default=None, primary_key=True)
    created_at: datetime = Field(default_factory=_now)
    updated_at: datetime = Field(default_factory=_now)


class BookCreate(BookBase):
    """The body of POST."""


class BookUpdate(SQLModel):
    """The body of PATCH."""

    title: str | None = Field(default=None, min_length=1, max_length=255)
    author: str | None = Field(default=None, min_length=1, max_length=255)
    description: str | None = None
    price: Decimal | None = Field(default=None, gt=0, max_digits=10, decimal_places=2)
    stock: int | None = Field(default=None, ge=0)
    category_id: int | None = None
    cover_image: str | None = None


class BookPublic(BookBase):
    """The body of a response."""

    id: int
    created_at: datetime
    updated_at: datetime


class BookPage(SQLModel):
    """One page of books and how many there are."""

    items: list[BookPublic]
    total: int
    page: int
    size: int
    pages: int


@lru_cache
def get_engine() -> Engine:
    """Return the only engine. The tutorial's `check_same_thread` is for SQLite only."""
    url = os.environ["DATABASE_URL"]
    connect_args = {"check_same_thread": False} if url.startswith("sqlite") else {}
    return create_engine(url, connect_args=connect_args)


def get_session() -> Iterator[Session]:
    """Yield a session, as in the tutorial."""
    with Session(get_engine()) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]
TokenDep = Annotated[str, Depends(OAuth2PasswordBearer(tokenUrl="token"))]


def get_current_user(session: SessionDep, token: TokenDep) -> User:
    """Load the user in the token from the database."""
    refused = HTTPException(status.HTTP_401_UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
    try:
        payload = jwt.decode(token, os.environ["JWT_SECRET"], algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise refused from error
    user = session.get(User, int(payload["sub"]))
    if user is None:
        raise refused
    return user


CurrentUser = Annotated[User, Depends(get_current_user)]
router = APIRouter()


@router.get("/books", response_model=BookPage)
def read_books(  # noqa: PLR0913, PLR0917  the tutorials write a parameter for each filter
    session: SessionDep,
    page: Annotated[int, Query(ge=1)] = 1,
    size: Annotated[int, Query(ge=1, le=100)] = 50,
    category_id: int | None = None,
    min_price: Decimal | None = None,
    max_price: Decimal | None = None,
    sort: Literal["id", "-price"] = "id",
) -> object:
    """Return a page of the books that match the filters, with the exact total."""
    books = select(Book)
    if category_id is not None:
        books = books.where(Book.category_id == category_id)
    if min_price is not None:
        books = books.where(Book.price >= min_price)
    if max_price is not None:
        books = books.where(Book.price <= max_price)
    total = session.exec(select(func.count()).select_from(books.subquery())).one()
    order = [col(Book.id)] if sort == "id" else [col(Book.price).desc(), col(Book.id)]
    items = session.exec(books.order_by(*order).offset((page - 1) * size).limit(size)).all()
    return {"items": items, "total": total, "page": page, "size": size, "pages": -(-total // size)}


@router.post("/books", response_model=BookPublic, status_code=status.HTTP_201_CREATED)
def create_book(book: BookCreate, session: SessionDep) -> object:
    """Create a book."""
    row = Book.model_validate(book)
    session.add(row)
    session.commit()
    session.refresh(row)
    return row


@router.get("/books/{book_id}", response_model=BookPublic)
def read_book(book_id: int, session: SessionDep) -> object:
    """Return a book to anyone."""
    book = session.get(Book, book_id)
    if book is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, detail="Book not found")
    return book


@router.patch("/books/{book_id}", response_model=BookPublic)
def update_book(book_id: int, book: BookUpdate, session: SessionDep) -> object:
    """Change the members of the body."""
    row = session.get(Book, book_id)
    if row is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, detail="Book not found")
    row.sqlmodel_update(book.model_dump(exclude_unset=True))
    row.updated_at = _now()
    session.add(row)
    session.commit()
    session.refresh(row)
    return row


@router.get("/me-books/{book_id}", response_model=BookPublic)
def read_book_signed_in(book_id: int, session: SessionDep, _user: CurrentUser) -> object:
    """Return a book to a signed-in user."""
    return read_book(book_id, session)


@asynccontextmanager
async def _create_tables(_app: FastAPI) -> AsyncIterator[None]:
    SQLModel.metadata.create_all(get_engine())
    yield


def create_app() -> FastAPI:
    """Return the application. Reads DATABASE_URL and JWT_SECRET."""
    app = FastAPI(lifespan=_create_tables)
    app.include_router(router)
    return app
