"""The bookshop as FastCRUD's documentation writes it: `crud_router` with an async session and a select schema.

It must not be improved: the pool is SQLAlchemy's default, the routes are the generated ones, and the get with a token
is the generated route with `read_deps`, as FastCRUD documents it.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any

import jwt
from fastapi import Depends, FastAPI, HTTPException, status
from fastapi.security import OAuth2PasswordBearer
from fastcrud import FastCRUD, FilterConfig, crud_router
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import DateTime, ForeignKey, Numeric, String
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


def _now() -> datetime:
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """The declarative base."""


class Category(Base):
    """The table that a book's `category_id` refers to."""

    __tablename__ = "categories"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255))


class User(Base):
    """The row that an endpoint with a token loads."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255), unique=True)
    full_name: Mapped[str] = mapped_column(String(255))
    hashed_password: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)


class Book(Base):
    """The table."""

    __tablename__ = "books"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(255))
    author: Mapped[str] = mapped_column(String(255))
    description: Mapped[str | None]
    price: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    stock: Mapped[int] = mapped_column(default=0)
    category_id: Mapped[int | None] = mapped_column(ForeignKey("categories.id"))
    cover_image: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)
    updated_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), default=_now)


class BookCreate(BaseModel):
    """The body of POST."""

    title: str = Field(min_length=1, max_length=255)
    author: str = Field(min_length=1, max_length=255)
    description: str | None = None
    price: Decimal = Field(gt=0, max_digits=10, decimal_places=2)
    stock: int = Field(default=0, ge=0)
    category_id: int | None = None
    cover_image: str | None = None


class BookUpdate(BaseModel):
    """The body of PATCH."""

    title: str | None = Field(default=None, min_length=1, max_length=255)
    author: str | None = Field(default=None, min_length=1, max_length=255)
    description: str | None = None
    price: Decimal | None = Field(default=None, gt=0, max_digits=10, decimal_places=2)
    stock: int | None = Field(default=None, ge=0)
    category_id: int | None = None
    cover_image: str | None = None


class BookRead(BaseModel):
    """The body of a response."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    title: str
    author: str
    description: str | None
    price: Decimal
    stock: int
    category_id: int | None
    cover_image: str | None
    created_at: datetime
    updated_at: datetime


@lru_cache
def get_engine() -> AsyncEngine:
    """Return the only engine, with the default pool."""
    return create_async_engine(os.environ["DATABASE_URL"])


@lru_cache
def get_session_maker() -> async_sessionmaker[AsyncSession]:
    """Return the session maker of the documentation."""
    return async_sessionmaker(get_engine(), expire_on_commit=False)


async def get_session() -> AsyncIterator[AsyncSession]:
    """Yield a session, as in the documentation."""
    async with get_session_maker()() as session:
        yield session


TokenDep = Annotated[str, Depends(OAuth2PasswordBearer(tokenUrl="token"))]
users: FastCRUD[User, Any, Any, Any, Any, Any] = FastCRUD(User)


async def get_current_user(
    session: Annotated[AsyncSession, Depends(get_session)], token: TokenDep
) -> dict[str, object]:
    """Load the user in the token from the database."""
    refused = HTTPException(status.HTTP_401_UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
    try:
        payload = jwt.decode(token, os.environ["JWT_SECRET"], algorithms=["HS256"])
    except jwt.InvalidTokenError as error:
        raise refused from error
    user = await users.get(session, id=int(payload["sub"]))
    if user is None:
        raise refused
    return dict(user)


@asynccontextmanager
async def _create_tables(_app: FastAPI) -> AsyncIterator[None]:
    async with get_engine().begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    yield
    await get_engine().dispose()


def create_app() -> FastAPI:
    """Return the application. Reads DATABASE_URL and JWT_SECRET."""
    app = FastAPI(lifespan=_create_tables)
    app.include_router(
        crud_router(
            session=get_session,
            model=Book,
            create_schema=BookCreate,
            update_schema=BookUpdate,
            select_schema=BookRead,
            path="/books",
            included_methods=["create", "read", "read_multi", "update"],
            filter_config=FilterConfig(category_id=None, price__gte=None, price__lte=None),
        )
    )
    app.include_router(
        crud_router(
            session=get_session,
            model=Book,
            create_schema=BookCreate,
            update_schema=BookUpdate,
            select_schema=BookRead,
            path="/me-books",
            included_methods=["read"],
            read_deps=[get_current_user],
        )
    )
    return app
