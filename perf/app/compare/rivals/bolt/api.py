"""The routes, as the documentation of django-bolt writes them: functions over Django's asynchronous queries.

It must not be improved. A get with a token is checked in Rust, and loads the user, as every rival does.
"""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import msgspec
from django.conf import settings
from django_bolt import BoltAPI
from django_bolt.auth import IsAuthenticated, JWTAuthentication
from django_bolt.exceptions import NotFound, Unauthorized

from perf.app.compare.rivals.bolt.models import Book, User

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
Price = Annotated[Decimal, msgspec.Meta(extra_json_schema={"exclusiveMinimum": 0})]
Stock = Annotated[int, msgspec.Meta(ge=0)]
api = BoltAPI()


class BookCreate(msgspec.Struct):
    """The body of POST."""

    title: Name
    author: Name
    price: Price
    description: str | None = None
    stock: Stock = 0
    category_id: int | None = None
    cover_image: str | None = None


class BookUpdate(msgspec.Struct, omit_defaults=True):
    """The body of PATCH."""

    title: Name | None = None
    author: Name | None = None
    price: Price | None = None
    description: str | None = None
    stock: Stock | None = None
    category_id: int | None = None
    cover_image: str | None = None


class BookRead(msgspec.Struct):
    """The body of a response."""

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


class BookPage(msgspec.Struct):
    """A page of books and how many there are."""

    items: list[BookRead]
    total: int


def shown(book: Any) -> BookRead:
    """Return the members of a book."""
    return BookRead(**{name: getattr(book, name) for name in BookRead.__struct_fields__})


async def find(book_id: int) -> BookRead:
    """Return a book."""
    book = await Book.objects.filter(id=book_id).afirst()
    if book is None:
        raise NotFound
    return shown(book)


@api.get("/books")
async def list_books(
    page: int = 1,
    size: int = 20,
    order: str = "id",
    category_id: int | None = None,
    min_price: str | None = None,
    max_price: str | None = None,
) -> BookPage:
    """Return a page of the books that match the filters, with the total."""
    given = {"category_id": category_id, "price__gte": min_price, "price__lte": max_price}
    books = Book.objects.filter(**{name: value for name, value in given.items() if value is not None})
    chosen = books.order_by(*order.split(","))[(page - 1) * size : page * size]
    return BookPage(items=[shown(book) async for book in chosen], total=await books.acount())


@api.post("/books", status_code=201)
async def create_book(data: BookCreate) -> BookRead:
    """Create a book."""
    return shown(await Book.objects.acreate(**msgspec.structs.asdict(data)))


@api.get("/books/{book_id}")
async def get_book(book_id: int) -> BookRead:
    """Return a book to anyone."""
    return await find(book_id)


@api.patch("/books/{book_id}")
async def update_book(book_id: int, data: BookUpdate) -> BookRead:
    """Change the members of the body."""
    book = await Book.objects.filter(id=book_id).afirst()
    if book is None:
        raise NotFound
    for name, value in msgspec.to_builtins(data, builtin_types=(Decimal,)).items():
        setattr(book, name, value)
    await book.asave()
    return shown(book)


@api.get("/me-books/{book_id}", auth=[JWTAuthentication(secret=settings.SECRET_KEY)], guards=[IsAuthenticated()])
async def get_book_signed_in(request: Any, book_id: int) -> BookRead:
    """Return a book to a signed-in user."""
    user = await User.objects.filter(id=int(request.get("auth", {})["user_id"]), is_active=True).afirst()
    if user is None:
        raise Unauthorized
    return await find(book_id)
