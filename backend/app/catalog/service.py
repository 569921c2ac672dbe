"""The rules of books: two more filters, and the stock.

Stock changes in one conditional UPDATE, or on rows that are locked in the order of their ids, so that two requests
for the same books never deadlock. A constraint of the table keeps it from falling below zero, too.
"""

from collections.abc import Collection
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.catalog.errors import InsufficientStockError, StockFullError
from app.catalog.models import Book
from rowhouse import ADMIN, Caller, CRUDBase, NotFoundError, now

MAX_STOCK = 2**31 - 1  # the range of the column


class BookCRUD(CRUDBase[Book]):
    """Books, with the filters `min_price` and `max_price`."""

    filter_aliases: ClassVar[dict[str, str]] = {"min_price": "price__gte", "max_price": "price__lte"}


def take_stock(session: Session, caller: Caller, book_id: int, quantity: int) -> Book:
    """Take copies of a book from its stock, all or none. Return the book as stored.

    Raises:
        PermissionDeniedError: 403 for anyone but an administrator.
        NotFoundError: 404 if there is no such book.
        InsufficientStockError: 400 if there are fewer copies.
    """
    ADMIN.check(caller)
    enough = sa.update(Book).where(col(Book.id) == book_id, col(Book.stock) >= quantity)
    taken = enough.values(stock=Book.stock - quantity, updated_at=now()).returning(Book)
    book = session.scalars(taken, execution_options={"populate_existing": True}).one_or_none()
    if book is None:
        raise InsufficientStockError(stock_of(session, book_id))
    return book


def stock_of(session: Session, book_id: int) -> int:
    """Return the number of copies in stock.

    Raises:
        NotFoundError: 404 if there is no such book.
    """
    stock = session.exec(select(Book.stock).where(Book.id == book_id)).one_or_none()
    if stock is None:
        raise NotFoundError(f"There is no Book with the id {book_id}.")
    return stock


def lock_books(session: Session, ids: SelectOfScalar[int] | Collection[int]) -> dict[int, Book]:
    """Lock books until the transaction ends, and return them by id. `ids` may be a query.

    They are locked in the order of their ids, so that two requests never deadlock.
    """
    named: Any = select(Book).where(col(Book.id).in_(ids)).order_by(col(Book.id)).with_for_update(key_share=True)
    return {book.id or 0: book for book in session.exec(named.execution_options(populate_existing=True))}


def take_out(book: Book, quantity: int) -> None:
    """Take copies of a locked book from its stock.

    Raises:
        InsufficientStockError: 400, naming the book.
    """
    if book.stock < quantity:
        raise InsufficientStockError(book.stock, book.title)
    book.stock -= quantity
    book.updated_at = now()


def put_back(book: Book, quantity: int) -> None:
    """Put copies of a locked book back into its stock.

    Raises:
        StockFullError: 409 if the column cannot hold the sum.
    """
    if quantity > MAX_STOCK - book.stock:
        raise StockFullError
    book.stock += quantity
    book.updated_at = now()
