"""The bookshop as the documentation of Litestar and advanced-alchemy writes it: a controller over a repository service.

It must not be improved: the pool is SQLAlchemy's default, the session is the plugin's, which commits after the
response's status is known, and the get with a token is Litestar's `JWTAuth`, whose handler loads the user.
"""

import os
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from advanced_alchemy.extensions.litestar import SQLAlchemyAsyncConfig, SQLAlchemyPlugin, base, filters, providers
from advanced_alchemy.extensions.litestar import repository as repositories
from advanced_alchemy.extensions.litestar import service as services
from advanced_alchemy.filters import OrderBy
from advanced_alchemy.types import DateTimeUTC
from litestar import Controller, Litestar, get, patch, post
from litestar.connection import ASGIConnection
from litestar.params import Dependency, Parameter
from litestar.security.jwt import JWTAuth, Token
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ForeignKey, Numeric, String
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column


def _now() -> datetime:
    return datetime.now(UTC)


class Category(base.DefaultBase):
    """The table that a book's `category_id` refers to."""

    __tablename__ = "categories"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(255))


class User(base.DefaultBase):
    """The row that an endpoint with a token loads."""

    __tablename__ = "users"

    id: Mapped[int] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(255), unique=True)
    full_name: Mapped[str] = mapped_column(String(255))
    hashed_password: Mapped[str]
    is_active: Mapped[bool] = mapped_column(default=True)


class Book(base.DefaultBase):
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
    created_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True), default=_now)
    updated_at: Mapped[datetime] = mapped_column(DateTimeUTC(timezone=True), default=_now, onupdate=_now)


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


class BookService(services.SQLAlchemyAsyncRepositoryService[Book]):
    """The service of the documentation."""

    class Repo(repositories.SQLAlchemyAsyncRepository[Book]):
        """The repository of the documentation."""

        model_type = Book

    repository_type = Repo


FILTERS: Any = {"pagination_type": "limit_offset", "pagination_size": 20, "sort_field": "id", "sort_order": "asc"}


class BookController(Controller):
    """The books."""

    path = "/books"
    dependencies = providers.create_service_dependencies(BookService, "books", filters=FILTERS)

    @get()
    async def list_books(
        self,
        books: BookService,
        filters: Annotated[list[filters.FilterTypes], Dependency(skip_validation=True)],
        category_id: int | None = None,
        min_price: Decimal | None = None,
        max_price: Decimal | None = None,
    ) -> services.OffsetPagination[BookRead]:
        """Return a page of the books that match the filters, with the total."""
        conditions = []
        if category_id is not None:
            conditions.append(Book.category_id == category_id)
        if min_price is not None:
            conditions.append(Book.price >= min_price)
        if max_price is not None:
            conditions.append(Book.price <= max_price)
        # The key decides between books of one price, as in every rival.
        found, total = await books.list_and_count(*filters, OrderBy("id"), *conditions)
        return books.to_schema(found, total, filters=filters, schema_type=BookRead)

    @post()
    async def create_book(self, books: BookService, data: BookCreate) -> BookRead:
        """Create a book."""
        return books.to_schema(await books.create(data), schema_type=BookRead)

    @get("/{book_id:int}")
    async def get_book(self, books: BookService, book_id: Annotated[int, Parameter()]) -> BookRead:
        """Return a book to anyone."""
        return books.to_schema(await books.get(book_id), schema_type=BookRead)

    @patch("/{book_id:int}")
    async def update_book(self, books: BookService, data: BookUpdate, book_id: Annotated[int, Parameter()]) -> BookRead:
        """Change the members of the body."""
        changed = await books.update(data.model_dump(exclude_unset=True), item_id=book_id, auto_commit=False)
        return books.to_schema(changed, schema_type=BookRead)


class SignedInController(Controller):
    """The same get for signed-in users."""

    path = "/me-books"
    dependencies = providers.create_service_dependencies(BookService, "books")

    @get("/{book_id:int}")
    async def get_book_signed_in(self, books: BookService, book_id: Annotated[int, Parameter()]) -> BookRead:
        """Return a book to a signed-in user."""
        return books.to_schema(await books.get(book_id), schema_type=BookRead)


def create_app() -> Litestar:
    """Return the application. Reads DATABASE_URL and JWT_SECRET."""
    config = SQLAlchemyAsyncConfig(
        connection_string=os.environ["DATABASE_URL"], before_send_handler="autocommit", create_all=True
    )

    async def load_user(token: Token, connection: ASGIConnection[Any, Any, Any, Any]) -> User | None:
        session: AsyncSession = config.provide_session(connection.app.state, connection.scope)
        return await session.get(User, int(token.sub))

    auth = JWTAuth[User](
        retrieve_user_handler=load_user, token_secret=os.environ["JWT_SECRET"], exclude=["^/books", "^/schema"]
    )
    return Litestar(
        [BookController, SignedInController], plugins=[SQLAlchemyPlugin(config)], on_app_init=[auth.on_app_init]
    )
