"""The rules of carts and orders.

Locks are taken in one order everywhere, so that two requests never deadlock: the account, then an order, then books
in the order of their ids, then cart items. Whoever locks an account's row is alone in adding to its cart.
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
    CRUDBase,
    NotAuthenticatedError,
    ReferenceNotFoundError,
    Row,
    Transition,
    UnitOfWork,
    User,
    element_error,
    now,
    single_row_error,
)

MAX_BOOKS = 1000
MAX_COPIES = 2**31 - 1  # the range of the column
MAX_TOTAL = Decimal("9999999999999.99")  # exact on SQLite and on PostgreSQL

CANCEL = Transition(
    "cancel",
    (OrderStatus.PLACED,),
    OrderStatus.CANCELLED,
    description="Cancel a placed order and put its books back into stock. Requires its customer or an administrator.",
)
SHIP = Transition(
    "ship",
    (OrderStatus.PLACED,),
    OrderStatus.SHIPPED,
    policy=ADMIN,
    description="Mark a placed order as shipped. Requires the role admin.",
)
DELIVER = Transition(
    "deliver",
    (OrderStatus.SHIPPED,),
    OrderStatus.DELIVERED,
    policy=ADMIN,
    description="Mark a shipped order as delivered. Requires the role admin.",
)
ORDER_STEPS = (CANCEL, SHIP, DELIVER)


class Addition(NamedTuple):
    """Copies of a book to add to a cart."""

    book_id: int
    quantity: int


class AddedItem(NamedTuple):
    """The cart item of a book after an addition, and whether the addition created it."""

    row: Row
    is_new: bool


class CartItemCRUD(CRUDBase[CartItem]):
    """Carts. Copies of a book that the cart has already are added to it, in a batch too."""

    def create(self, unit: UnitOfWork, values: Mapping[str, Any]) -> Row:
        """Add copies of a book to the caller's cart."""
        with single_row_error():
            return self.create_many(unit, [values])[0]

    def create_many(self, unit: UnitOfWork, values: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
        """Add copies of books to the caller's cart, one after the other."""
        if unit.caller is None:
            raise NotAuthenticatedError
        additions = [Addition(one["book_id"], one["quantity"]) for one in values]
        return [added.row for added in add_all_to_cart(unit.session, unit.caller.id, additions)]


class OrderCRUD(CRUDBase[Order]):
    """Orders, which are shown with their lines."""

    extra_fields: ClassVar[Mapping[str, Any]] = {"lines": list[OrderLinePublic]}

    def load_extra_fields(self, rows: Sequence[Row], *, unit: UnitOfWork) -> None:
        """Add the lines to each order."""
        add_lines(unit.session, rows)

    def take_step(self, unit: UnitOfWork, key: int, transition: Transition[Any]) -> Row:
        """Take a step, and return the order with its lines. A cancelled order puts its books back into stock."""
        row = super().take_step(unit, key, transition)
        lines = lines_of(unit.session, [key])
        if transition is CANCEL:
            restock(unit.session, lines)
        return {**row, "lines": [public_line(line) for line in lines]}


def lock_cart(session: Session, user_id: int) -> None:
    """Lock the cart of an account until the transaction ends: nobody else adds to it or orders it."""
    session.exec(select(User.id).where(User.id == user_id).with_for_update(key_share=True)).one_or_none()


def add_to_cart(session: Session, user_id: int, book_id: int, quantity: int) -> AddedItem:
    """Add copies of a book to a cart, as `add_all_to_cart` does."""
    with single_row_error():
        return add_all_to_cart(session, user_id, [Addition(book_id, quantity)])[0]


def add_all_to_cart(session: Session, user_id: int, additions: Sequence[Addition]) -> list[AddedItem]:
    """Add copies of books to a cart, all or none. Return the item of each book after its addition.

    Raises:
        ReferenceNotFoundError: 409 if there is no such book.
        CartFullError: 409 if no more fits in. Both name the element.
    """
    lock_cart(session, user_id)
    ids = {addition.book_id for addition in additions}
    books = lock_existing_books(session, ids)
    items = locked_items(session, user_id, ids)
    counts = {book_id: item.quantity for book_id, item in items.items()}
    free = free_places(session, user_id)
    steps = []
    for position, (book_id, quantity) in enumerate(additions):
        is_new = book_id not in counts
        with element_error(position):
            require_book(book_id, books)
            if is_new and len(counts) - len(items) >= free:
                raise CartFullError
            counts[book_id] = more_copies(counts.get(book_id, 0), quantity)
        steps.append((book_id, counts[book_id], is_new))
    store_counts(session, user_id, items, counts)
    return [AddedItem({**items[book_id].model_dump(), "quantity": count}, is_new) for book_id, count, is_new in steps]


def lock_existing_books(session: Session, ids: Collection[int]) -> set[int]:
    """Return the ids of the books that exist. Nobody deletes them until the transaction ends."""
    existing = select(col(Book.id)).where(col(Book.id).in_(ids)).order_by(col(Book.id))
    return {book_id or 0 for book_id in session.exec(existing.with_for_update(read=True, key_share=True))}


def require_book(book_id: int, books: Collection[int]) -> None:
    """Require that the book exists."""
    if book_id not in books:
        raise ReferenceNotFoundError(f"book_id: there is nothing with the id {book_id}.")


def locked_items(session: Session, user_id: int, books: Collection[int]) -> dict[int, CartItem]:
    """Lock the items of a cart for these books, and return them by the id of the book."""
    found = select(CartItem).where(CartItem.user_id == user_id, col(CartItem.book_id).in_(books))
    locked = found.order_by(col(CartItem.id)).with_for_update().execution_options(populate_existing=True)
    return {item.book_id: item for item in session.exec(locked)}


def free_places(session: Session, user_id: int) -> int:
    """Return how many further books fit into a cart. The limit exists because an order shows all of its lines."""
    count = select(sa.func.count()).select_from(CartItem).where(CartItem.user_id == user_id)
    return MAX_BOOKS - session.exec(count).one()


def more_copies(present: int, quantity: int) -> int:
    """Return the sum of two numbers of copies.

    Raises:
        CartFullError: 409 if the column cannot hold it.
    """
    if quantity > MAX_COPIES - present:
        raise CartFullError
    return present + quantity


def store_counts(session: Session, user_id: int, items: dict[int, CartItem], counts: Mapping[int, int]) -> None:
    """Store the numbers of copies in a cart that has `items`. New items are added to `items`."""
    for book_id, count in counts.items():
        if book_id in items:
            items[book_id].quantity = count
            items[book_id].updated_at = now()
        else:
            items[book_id] = CartItem(user_id=user_id, book_id=book_id, quantity=count)
    session.add_all(items.values())
    session.flush()


def place_order(session: Session, customer_id: int) -> Row:
    """Order everything in a cart at the present prices, all or nothing. Return the order with its lines.

    Raises:
        EmptyCartError: 400 if the cart is empty.
        InsufficientStockError: 400 if there are too few copies of a book, naming the book.
        OrderTooLargeError: 400 if the total has more digits than an amount can have.
    """
    lock_cart(session, customer_id)
    books = lock_books(session, select(CartItem.book_id).where(CartItem.user_id == customer_id))
    wanted = [(books[book_id], quantity) for book_id, quantity in emptied_cart(session, customer_id)]
    for book, quantity in wanted:
        take_out(book, quantity)
    order = Order(customer_id=customer_id, total=total_of(wanted))
    session.add(order)
    session.flush()
    lines = [line_of(order, book, quantity) for book, quantity in wanted]
    session.add_all(lines)
    session.flush()
    return with_lines(order, lines)


def emptied_cart(session: Session, user_id: int) -> list[tuple[int, int]]:
    """Delete all items of a cart. Return the id and the quantity of each book, in the order of the ids."""
    removed = sa.delete(CartItem).where(col(CartItem.user_id) == user_id)
    found = session.exec(removed.returning(col(CartItem.book_id), col(CartItem.quantity))).all()
    if not found:
        raise EmptyCartError
    return sorted((book_id, quantity) for book_id, quantity in found)


def line_of(order: Order, book: Book, quantity: int) -> OrderLine:
    """Return the line of an order for copies of a book at its present title and price."""
    return OrderLine(
        order_id=order.id or 0, book_id=book.id or 0, title=book.title, unit_price=book.price, quantity=quantity
    )


def total_of(wanted: Sequence[tuple[Book, int]]) -> Decimal:
    """Return the sum of the prices of books in their quantities, exact to the cent."""
    total = sum((book.price * quantity for book, quantity in wanted), Decimal())
    if total > MAX_TOTAL:
        raise OrderTooLargeError
    return total


def restock(session: Session, lines: Sequence[OrderLine]) -> None:
    """Put the copies of an order back into stock."""
    books = lock_books(session, [line.book_id for line in lines])
    for line in lines:
        put_back(books[line.book_id], line.quantity)


def lines_of(session: Session, order_ids: Collection[int]) -> Sequence[OrderLine]:
    """Return the lines of orders, by order and then by the id of the book."""
    found = select(OrderLine).where(col(OrderLine.order_id).in_(order_ids))
    return session.exec(found.order_by(col(OrderLine.order_id), col(OrderLine.book_id))).all()


def with_lines(order: Order, lines: Sequence[OrderLine]) -> Row:
    """Return an order and its lines as a response shows them."""
    return {**order.model_dump(), "lines": [public_line(line) for line in lines]}


def public_line(line: OrderLine) -> OrderLinePublic:
    """Return a line as its order shows it."""
    return OrderLinePublic.model_validate(line, from_attributes=True)


def add_lines(session: Session, orders: Sequence[Row]) -> None:
    """Add its lines to each of `orders`, with one statement."""
    by_order: dict[int, list[OrderLinePublic]] = {order["id"]: [] for order in orders}
    for line in lines_of(session, by_order):
        by_order[line.order_id].append(public_line(line))
    for order in orders:
        order["lines"] = by_order[order["id"]]
