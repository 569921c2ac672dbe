"""The registry of the sample shop: one line an entity, a booking with two steps, and a book's stock by hand."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import sqlalchemy as sa
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from rowhouse import (
    ADMIN,
    ANYONE,
    TAGGED,
    CRUDBase,
    InvalidInputError,
    Registry,
    Router,
    Row,
    Transition,
    UnitDep,
    UnitOfWork,
    crud_of,
    element_error,
    include_accounts,
    now,
    public_schema,
    role,
    row_id,
)
from tests.sample_entities.shop.models import (
    Book,
    Booking,
    BookingStatus,
    Category,
    ChargePoint,
    Review,
    Vehicle,
    metadata,
)

DRIVER = role("driver", "admin")
BookPublic = public_schema(Book)


class BookCRUD(CRUDBase[Book]):
    """Books, with two filters under further names."""

    filter_aliases: ClassVar[dict[str, str]] = {"min_price": "price__gte", "max_price": "price__lte"}


class BookingCRUD(CRUDBase[Booking]):
    """Bookings, which begin in the future."""

    def validate_many(self, rows: Sequence[Booking], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """Reject a booking that begins in the past."""
        super().validate_many(rows, stored=stored, unit=unit)
        for position, (row, before) in enumerate(zip(rows, stored, strict=True)):
            if row.start_time < now() and (before is None or row.start_time != before["start_time"]):
                with element_error(position):
                    raise InvalidInputError.at("body", "start_time", message="must not be in the past")


CONFIRM = Transition("confirm", (BookingStatus.PENDING,), BookingStatus.CONFIRMED, policy=ADMIN)
CANCEL = Transition("cancel", (BookingStatus.PENDING, BookingStatus.CONFIRMED), BookingStatus.CANCELLED)
BooksDep = Annotated[BookCRUD, crud_of(Book)]
books = Router(prefix="/books", tags=["books"])


class StockTaking(BaseModel):
    """How many copies to take."""

    model_config = ConfigDict(strict=True, extra="forbid")

    quantity: Annotated[int, Field(ge=1, le=2**31 - 1)]


@books.post("/{id}/stock", response_model=BookPublic, policy=ADMIN, responses={200: {"headers": TAGGED}})
def take_book_stock(
    book_id: Annotated[int, row_id("Book")], body: StockTaking, found: BooksDep, unit: UnitDep, response: Response
) -> Row:
    """Take copies of a book from its stock. Administrators only."""
    stock = found.lock(unit, book_id)["stock"]
    if stock < body.quantity:
        raise InvalidInputError.at("body", "quantity", message=f"there are {stock} copies")
    row = found.update(unit, book_id, {"stock": stock - body.quantity})
    response.headers["ETag"] = found.version(row)
    return row


registry = Registry("/api/v1")
register, include = registry.register, registry.include
include_accounts(registry, roles=("driver",), sign_up=("user", "driver"))
register(
    Book,
    read=ANYONE,
    write=ADMIN,
    search=("title", "author"),
    crud=BookCRUD,
    soft_delete=True,
    exact_count_limit=10_000,
)
include(books)
register(Booking, owner="driver_id", write=DRIVER, crud=BookingCRUD, steps=(CONFIRM, CANCEL))
register(Category, read=ANYONE, write=ADMIN, search=("name",))
register(ChargePoint, read=ANYONE, write=ADMIN, search=("code", "name"), history=True)
register(Review, read=ANYONE, owner="author_id", search=("comment",), exact_count_limit=10_000)
register(Vehicle, owner="driver_id", write=DRIVER, search=("plate",), soft_delete=True, history=True)


def create_tables(connection: sa.Connection) -> None:
    """Create the shop's tables, those of accounts and history too, in an empty database."""
    metadata.create_all(connection)
