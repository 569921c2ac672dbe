"""The rules of carts and orders.

Locks are taken in one order everywhere, so that nobody waits for one who waits for him: the account whose cart it is, then an
order, then books in the order of their ids, then what is in the cart. A cart is an account's: who holds the account's row may count
on nobody else adding to the cart.
"""

from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any, ClassVar, NamedTuple

import sqlalchemy as sa
from sqlmodel import Session, col, select

from app.catalog.models import Book
from app.catalog.service import lock_books, put_back, take_out
from app.orders.errors import CartFullError, EmptyCartError, OrderTooLargeError
from app.orders.models import CartItem, Order, OrderLine, OrderLinePublic, OrderStatus
from rowhouse import (
    ADMIN,
    Caller,
    CRUDBase,
    NotAuthenticatedError,
    NotFoundError,
    ReferenceNotFoundError,
    Row,
    Transition,
    UnitOfWork,
    User,
    element_error,
    now,
    single_row_error,
)

MOST_BOOKS = 1000
MOST_COPIES = 2**31 - 1  # what the column holds
MOST_MONEY = Decimal("9999999999999.99")  # as exact on SQLite as on PostgreSQL

CANCEL = Transition("cancel", (OrderStatus.PLACED,), OrderStatus.CANCELLED)
SHIP = Transition("ship", (OrderStatus.PLACED,), OrderStatus.SHIPPED, policy=ADMIN)
DELIVER = Transition("deliver", (OrderStatus.SHIPPED,), OrderStatus.DELIVERED, policy=ADMIN)


class Wish(NamedTuple):
    """So many copies of a book."""

    book_id: int
    quantity: int


class Added(NamedTuple):
    """What a cart has of a book once copies of it were added, and whether it is new there."""

    row: Row
    is_new: bool


class CartItemCRUD(CRUDBase[CartItem]):
    """Carts: what is added of a book that is there already adds to it, in a batch too."""

    def create(self, unit: UnitOfWork, values: Mapping[str, Any]) -> Row:
        """Put copies of a book into the caller's cart."""
        with single_row_error():
            return self.create_many(unit, [values])[0]

    def create_many(self, unit: UnitOfWork, values: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
        """Put copies of books into the caller's cart, of each after those before it."""
        if unit.caller is None:
            raise NotAuthenticatedError
        wishes = [Wish(one["book_id"], one["quantity"]) for one in values]
        return [added.row for added in add_all_to_cart(unit.session, unit.caller.id, wishes)]


class OrderCRUD(CRUDBase[Order]):
    """Orders, which show their lines."""

    extra_fields: ClassVar[Mapping[str, Any]] = {"lines": list[OrderLinePublic]}

    def load_extra_fields(self, rows: Sequence[Row], *, unit: UnitOfWork) -> None:
        """Put its lines into each order."""
        add_lines(unit.session, rows)


def lock_cart(session: Session, user_id: int) -> None:
    """Nobody else adds to this account's cart, or orders what is in it, until this transaction ends."""
    session.exec(select(User.id).where(User.id == user_id).with_for_update(key_share=True)).one_or_none()


def add_to_cart(session: Session, user_id: int, book_id: int, quantity: int) -> Added:
    """Put copies of a book into a cart, as `add_all_to_cart` does."""
    with single_row_error():
        return add_all_to_cart(session, user_id, [Wish(book_id, quantity)])[0]


def add_all_to_cart(session: Session, user_id: int, wishes: Sequence[Wish]) -> list[Added]:
    """Put copies of books into a cart, one wish after the other; gives what is there of each book once it is met.

    Raises:
        ReferenceNotFoundError: 409 when there is no such book.
        CartFullError: 409 when no more fits in. Both name the element, and then nothing is added.
    """
    lock_cart(session, user_id)
    ids = {wish.book_id for wish in wishes}
    books = kept_books(session, ids)
    items = locked_items(session, user_id, ids)
    counts = {book_id: item.quantity for book_id, item in items.items()}
    room = free_places(session, user_id)
    steps = []
    for position, (book_id, quantity) in enumerate(wishes):
        is_new = book_id not in counts
        with element_error(position):
            require_book(book_id, books)
            if is_new and len(counts) - len(items) >= room:
                raise CartFullError
            counts[book_id] = more_copies(counts.get(book_id, 0), quantity)
        steps.append((book_id, counts[book_id], is_new))
    store_counts(session, user_id, items, counts)
    return [Added({**items[book_id].model_dump(), "quantity": count}, is_new) for book_id, count, is_new in steps]


def kept_books(session: Session, ids: Collection[int]) -> set[int]:
    """Those of the books that are there, and stay until this transaction ends."""
    kept = select(col(Book.id)).where(col(Book.id).in_(ids)).order_by(col(Book.id))
    return {book_id or 0 for book_id in session.exec(kept.with_for_update(read=True, key_share=True))}


def require_book(book_id: int, books: Collection[int]) -> None:
    """What goes into a cart is there."""
    if book_id not in books:
        raise ReferenceNotFoundError(f"book_id: there is nothing with the id {book_id}.")


def locked_items(session: Session, user_id: int, books: Collection[int]) -> dict[int, CartItem]:
    """What a cart has of books, by their ids."""
    found = select(CartItem).where(CartItem.user_id == user_id, col(CartItem.book_id).in_(books))
    locked = found.order_by(col(CartItem.id)).with_for_update().execution_options(populate_existing=True)
    return {item.book_id: item for item in session.exec(locked)}


def free_places(session: Session, user_id: int) -> int:
    """A cart has so many different books at most: an order shows all of its lines at once."""
    count = select(sa.func.count()).select_from(CartItem).where(CartItem.user_id == user_id)
    return MOST_BOOKS - session.exec(count).one()


def more_copies(present: int, quantity: int) -> int:
    """Copies of a book and further ones, as far as they can be counted."""
    if quantity > MOST_COPIES - present:
        raise CartFullError
    return present + quantity


def store_counts(session: Session, user_id: int, items: dict[int, CartItem], counts: Mapping[int, int]) -> None:
    """Have a cart, in which `items` are, hold so many copies of books; what is new joins `items`."""
    for book_id, count in counts.items():
        if book_id in items:
            items[book_id].quantity = count
            items[book_id].updated_at = now()
        else:
            items[book_id] = CartItem(user_id=user_id, book_id=book_id, quantity=count)
    session.add_all(items.values())
    session.flush()


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
    step.check_caller(caller)
    step.check_source(order.status, "order")
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
