"""The rules of carts and orders.

Locks are taken in one order everywhere, so that nobody waits for one who waits for him: the account whose cart it is, then an
order, then books in the order of their ids, then what is in the cart. A cart is an account's: who holds the account's row may count
on nobody else adding to the cart.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlmodel import Session, col, select

from backend.auth.models import User
from backend.catalog.models import Book
from backend.catalog.service import lock_books, put_back, take_out
from backend.core.db import UnitOfWork
from backend.core.errors import NotAuthenticatedError, NotFoundError, ReferenceNotFoundError
from backend.core.security import Caller
from backend.core.statement import Row
from backend.core.time import now
from backend.crud.base import CRUDBase
from backend.crud.transition import Transition
from backend.orders.errors import CartFullError, EmptyCartError, OrderTooLargeError
from backend.orders.models import CartItem, Order, OrderLine, OrderLinePublic, OrderStatus

MOST_BOOKS = 1000
MOST_COPIES = 2**31 - 1  # what the column holds
MOST_MONEY = Decimal("9999999999999.99")  # as exact on SQLite as on PostgreSQL

CANCEL = Transition("cancel", (OrderStatus.PLACED,), OrderStatus.CANCELLED)
SHIP = Transition("ship", (OrderStatus.PLACED,), OrderStatus.SHIPPED, administrators_only=True)
DELIVER = Transition("deliver", (OrderStatus.SHIPPED,), OrderStatus.DELIVERED, administrators_only=True)


class CartItemCRUD(CRUDBase[CartItem]):
    """Carts: what is added of a book that is there already adds to it, in a batch too."""

    def create(self, unit: UnitOfWork, values: Mapping[str, Any]) -> Row:
        """Put copies of a book into the caller's cart."""
        if unit.caller is None:
            raise NotAuthenticatedError
        item, _ = add_to_cart(unit.session, unit.caller.id, values["book_id"], values["quantity"])
        return item.model_dump()


class OrderCRUD(CRUDBase[Order]):
    """Orders, which show their lines."""

    composed: ClassVar[Mapping[str, Any]] = {"lines": list[OrderLinePublic]}

    def compose(self, rows: Sequence[Row], *, unit: UnitOfWork) -> None:
        """Put its lines into each order."""
        add_lines(unit.session, rows)


def lock_cart(session: Session, user_id: int) -> None:
    """Nobody else adds to this account's cart, or orders what is in it, until this transaction ends."""
    session.exec(select(User.id).where(User.id == user_id).with_for_update(key_share=True)).one_or_none()


def add_to_cart(session: Session, user_id: int, book_id: int, quantity: int) -> tuple[CartItem, bool]:
    """Put copies of a book into a cart; gives what is there of it then, and whether it is new there.

    Raises:
        ReferenceNotFoundError: 409 when there is no such book.
        CartFullError: 409 when no more fits in.
    """
    lock_cart(session, user_id)
    require_book(session, book_id)
    item = locked_item(session, user_id, book_id)
    if item is not None:
        add_copies(item, quantity)
    else:
        require_room(session, user_id)
        item = CartItem(user_id=user_id, book_id=book_id, quantity=quantity)
    is_new = item.id is None
    session.add(item)
    session.flush()
    return item, is_new


def require_book(session: Session, book_id: int) -> None:
    """What goes into a cart is there, and stays until this transaction ends."""
    kept = select(Book.id).where(Book.id == book_id).with_for_update(read=True, key_share=True)
    if session.exec(kept).one_or_none() is None:
        raise ReferenceNotFoundError(f"book_id: there is nothing with the id {book_id}.")


def locked_item(session: Session, user_id: int, book_id: int) -> CartItem | None:
    """What a cart has of a book."""
    found = select(CartItem).where(CartItem.user_id == user_id, CartItem.book_id == book_id).with_for_update()
    return session.exec(found.execution_options(populate_existing=True)).one_or_none()


def add_copies(item: CartItem, quantity: int) -> None:
    """More copies of a book that is in the cart, as far as they can be counted."""
    if quantity > MOST_COPIES - item.quantity:
        raise CartFullError
    item.quantity += quantity
    item.updated_at = now()


def require_room(session: Session, user_id: int) -> None:
    """A cart has so many different books at most: an order shows all of its lines at once."""
    count = select(sa.func.count()).select_from(CartItem).where(CartItem.user_id == user_id)
    if session.exec(count).one() >= MOST_BOOKS:
        raise CartFullError


def place_order(session: Session, customer_id: int) -> Row:
    """Turn a cart into an order at the prices of this moment, all or nothing.

    Raises:
        EmptyCartError: 400 when there is nothing in it.
        InsufficientStockError: 400 when there are too few of a book, which is named.
        OrderTooLargeError: 400 when the total is past what an amount can be.
    """
    lock_cart(session, customer_id)
    books = lock_books(session, select(CartItem.book_id).where(CartItem.user_id == customer_id))
    wanted = [(books[book_id], quantity) for book_id, quantity in emptied_cart(session, customer_id)]
    for book, quantity in wanted:
        take_out(book, quantity)
    order = Order(customer_id=customer_id, total=total_of(wanted))
    session.add(order)
    session.flush()
    session.add_all(line_of(order, book, quantity) for book, quantity in wanted)
    session.flush()
    return shown(session, order)


def emptied_cart(session: Session, user_id: int) -> list[tuple[int, int]]:
    """Take everything out of a cart: the books' ids, each with its quantity, in their order."""
    removed = sa.delete(CartItem).where(col(CartItem.user_id) == user_id)
    found = session.exec(removed.returning(col(CartItem.book_id), col(CartItem.quantity))).all()
    if not found:
        raise EmptyCartError
    return sorted((book_id, quantity) for book_id, quantity in found)


def line_of(order: Order, book: Book, quantity: int) -> OrderLine:
    """Copies of a book, as it is now, in an order."""
    return OrderLine(
        order_id=order.id or 0, book_id=book.id or 0, title=book.title, unit_price=book.price, quantity=quantity
    )


def total_of(wanted: Sequence[tuple[Book, int]]) -> Decimal:
    """What books in their quantities amount to, to the cent."""
    total = sum((book.price * quantity for book, quantity in wanted), Decimal())
    if total > MOST_MONEY:
        raise OrderTooLargeError
    return total


def advance(session: Session, caller: Caller, order_id: int, step: Transition[OrderStatus]) -> Row:
    """Take an order one step on, and give it as it is then.

    Raises:
        NotFoundError: 404 when there is none that the caller sees.
        PermissionDeniedError: 403 for a step that is not the caller's.
        TransitionError: 409 for a step that its state does not allow.
    """
    order = locked_order(session, caller, order_id)
    step.require_permission(caller, "order")
    step.require_source(order.status, "order")
    if step is CANCEL:
        restock(session, order)
    order.status = step.target
    order.updated_at = now()
    session.flush()
    return shown(session, order)


def locked_order(session: Session, caller: Caller, order_id: int) -> Order:
    """The order, if it is the caller's or the caller an administrator; nobody else takes a step with it meanwhile."""
    named = select(Order).where(Order.id == order_id).with_for_update(key_share=True)
    if not caller.is_admin:
        named = named.where(Order.customer_id == caller.id)
    order = session.exec(named).one_or_none()
    if order is None:
        raise NotFoundError(f"There is no Order with the id {order_id}.")
    return order


def restock(session: Session, order: Order) -> None:
    """Put what was ordered back on the shelves."""
    books = lock_books(session, select(OrderLine.book_id).where(OrderLine.order_id == order.id))
    for line in session.exec(select(OrderLine).where(OrderLine.order_id == order.id)):
        put_back(books[line.book_id], line.quantity)


def shown(session: Session, order: Order) -> Row:
    """An order with its lines, as an answer has it."""
    row = order.model_dump()
    add_lines(session, [row])
    return row


def add_lines(session: Session, orders: Sequence[Row]) -> None:
    """Put its lines, in the order of the books' ids, into each of `orders`; one statement for all of them."""
    lines: dict[int, list[OrderLinePublic]] = {order["id"]: [] for order in orders}
    wanted = select(OrderLine).where(col(OrderLine.order_id).in_(lines))
    for line in session.exec(wanted.order_by(col(OrderLine.order_id), col(OrderLine.book_id))):
        lines[line.order_id].append(OrderLinePublic.model_validate(line, from_attributes=True))
    for order in orders:
        order["lines"] = lines[order["id"]]
