"""What is special about books: filters under names that shops use, and the stock.

Stock changes in one guarded UPDATE, or on rows that are locked in the order of their ids, so that two who want the same books
never wait for each other. That it never falls below zero is a constraint of the table too.
"""

from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Session, col, select
from sqlmodel.sql.expression import SelectOfScalar

from app.catalog.errors import InsufficientStockError, StockFullError
from app.catalog.models import Book
from rowhouse import ADMIN, Caller, CRUDBase, NotFoundError, now

MOST_STOCK = 2**31 - 1  # what the column holds


class BookCRUD(CRUDBase[Book]):
    """Books, with two filters under names that shops use."""

    filter_aliases: ClassVar[dict[str, str]] = {"min_price": "price__gte", "max_price": "price__lte"}


def take_stock(session: Session, caller: Caller, book_id: int, quantity: int) -> Book:
    """Take so many copies of a book from its stock, and give the book as it is then.

    Raises:
        PermissionDeniedError: 403 for anyone but an administrator.
        NotFoundError: 404 when there is no such book.
        InsufficientStockError: 400 when there are fewer; then none is taken.
    """
    ADMIN.check(caller)
    enough = sa.update(Book).where(col(Book.id) == book_id, col(Book.stock) >= quantity)
    taken = enough.values(stock=Book.stock - quantity, updated_at=now()).returning(Book)
    book = session.scalars(taken, execution_options={"populate_existing": True}).one_or_none()
    if book is None:
        raise InsufficientStockError(stock_of(session, book_id))
    return book


def stock_of(session: Session, book_id: int) -> int:
    """How many copies there are.

    Raises:
        NotFoundError: 404 when there is no such book.
    """
    stock = session.exec(select(Book.stock).where(Book.id == book_id)).one_or_none()
    if stock is None:
        raise NotFoundError(f"There is no Book with the id {book_id}.")
    return stock


def lock_books(session: Session, ids: SelectOfScalar[int]) -> dict[int, Book]:
    """The books that a query names, by id; nobody else changes them until this transaction ends.

    Everyone locks them in the order of their ids, so that nobody holds one and waits for one before it.
    """
    named: Any = select(Book).where(col(Book.id).in_(ids)).order_by(col(Book.id)).with_for_update(key_share=True)
    return {book.id or 0: book for book in session.exec(named.execution_options(populate_existing=True))}


def take_out(book: Book, quantity: int) -> None:
    """Take copies of a book that is locked.

    Raises:
        InsufficientStockError: 400, naming the book.
    """
    if book.stock < quantity:
        raise InsufficientStockError(book.stock, book.title)
    book.stock -= quantity
    book.updated_at = now()


def put_back(book: Book, quantity: int) -> None:
    """Put copies of a book that is locked back.

    Raises:
        StockFullError: 409 where the stock would be past counting.
    """
    if quantity > MOST_STOCK - book.stock:
        raise StockFullError
    book.stock += quantity
    book.updated_at = now()
