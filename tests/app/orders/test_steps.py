"""The steps of an order: placed, then cancelled or shipped, then delivered, and no others."""

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from app.catalog.models import Book
from app.orders.models import OrderStatus
from tests.app.catalog.catalog_api import MISSING, Headers
from tests.app.orders.orders_api import OrdersApi
from tests.contract.problems import problem
from tests.statement_counter import all_statements_sent

STEPS = {"cancel": OrderStatus.CANCELLED, "ship": OrderStatus.SHIPPED, "deliver": OrderStatus.DELIVERED}
# The steps that lead to each state, and those that lead on from it.
WAYS = {
    OrderStatus.PLACED: ((), ("cancel", "ship")),
    OrderStatus.SHIPPED: (("ship",), ("deliver",)),
    OrderStatus.DELIVERED: (("ship", "deliver"), ()),
    OrderStatus.CANCELLED: (("cancel",), ()),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("status", WAYS)
def test_each_step_leads_on_from_its_own_state(
    counter: OrdersApi, buyer: Headers, status: OrderStatus, step: str
) -> None:
    """From any other it is 409, and neither the order nor the stock changes."""
    book = counter.add_book()
    before, allowed = WAYS[status]
    order = counter.ordered(buyer, (book, 3))
    for earlier in before:
        assert counter.step(order["id"], earlier, counter.admin).status_code == 200
    stored, stock = counter.stored(order["id"], buyer), counter.stock(book)
    assert stored["status"] == status
    answer = counter.step(order["id"], step, counter.admin)
    if step in allowed:
        assert (answer.status_code, answer.json()["status"]) == (200, STEPS[step])
        assert counter.stored(order["id"], buyer)["lines"] == stored["lines"]
        assert counter.client.get(f"/api/v1/orders/{order['id']}", headers=buyer).json() == answer.json()
    else:
        told = problem(answer, 409, "transition_refused")
        assert status.value in told["detail"]
        assert counter.stored(order["id"], buyer) == stored
    assert counter.stock(book) == (1000 if (status, step) == (OrderStatus.PLACED, "cancel") else stock)


def test_a_customer_cancels_once(counter: OrdersApi, buyer: Headers) -> None:
    """Everything returns to stock, once."""
    books = [counter.add_book(), counter.add_book()]
    order = counter.ordered(buyer, (books[0], 2), (books[1], 5))
    assert [counter.stock(book) for book in books] == [998, 995]
    answer = counter.step(order["id"], "cancel", buyer)
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert [counter.stock(book) for book in books] == [1000, 1000]
    problem(counter.step(order["id"], "cancel", buyer), 409, "transition_refused")
    assert [counter.stock(book) for book in books] == [1000, 1000]
    assert counter.cart(buyer) == {}


@pytest.mark.parametrize("step", ["ship", "deliver"])
def test_a_customer_neither_ships_nor_delivers(counter: OrdersApi, buyer: Headers, step: str) -> None:
    """403 for their own order, which stays as it was."""
    order = counter.ordered(buyer, (counter.add_book(), 1))
    problem(counter.step(order["id"], step, buyer), 403, "permission_denied")
    assert counter.stored(order["id"], buyer) == order


@pytest.mark.parametrize("step", STEPS)
def test_a_step_of_no_order_is_404(counter: OrdersApi, step: str) -> None:
    """For administrators too. An id that no order can have is 422."""
    problem(counter.step(MISSING, step, counter.admin), 404, "not_found")
    problem(counter.step(2**31, step, counter.admin), 422, "invalid_input")


def test_what_does_not_fit_back_is_409(counter: OrdersApi, buyer: Headers) -> None:
    """The order stays placed, and no book returns to stock. With room again it can be cancelled."""
    first, full = counter.add_book(), counter.add_book()
    order = counter.ordered(buyer, (first, 1), (full, 1))
    counter.shop.change(full, stock=2**31 - 1)
    problem(counter.step(order["id"], "cancel", buyer), 409, "stock_full")
    assert (counter.stock(first), counter.stock(full)) == (999, 2**31 - 1)
    assert counter.stored(order["id"], buyer) == order
    counter.shop.change(full, stock=2**31 - 2)
    assert counter.step(order["id"], "cancel", buyer).status_code == 200
    assert (counter.stock(first), counter.stock(full)) == (1000, 2**31 - 1)


def test_stock_below_zero_is_impossible_in_the_table(counter: OrdersApi) -> None:
    """Whatever writes it."""
    book = counter.add_book()
    app = counter.client.app
    assert isinstance(app, FastAPI)
    table: sa.Table = Book.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
    with pytest.raises(sa.exc.IntegrityError), app.state.database.engine.begin() as connection:
        connection.execute(table.update().where(table.c.id == book).values(stock=-1))
    assert counter.stock(book) == 1000


def test_a_step_locks_the_order_once_and_reads_it_once(counter: OrdersApi, buyer: Headers) -> None:
    """The caller, the locked order, the change and its lines. A cancellation also locks, reads and changes two books."""
    books = [counter.add_book(), counter.add_book()]
    shipped, cancelled = (counter.ordered(buyer, (books[0], 1), (books[1], 2)) for _ in range(2))
    for order, step, verbs in (
        (shipped, "ship", ["SELECT", "SELECT", "SELECT", "UPDATE"]),
        (shipped, "deliver", ["SELECT", "SELECT", "SELECT", "UPDATE"]),
        (cancelled, "cancel", [*["SELECT"] * 6, "UPDATE", "UPDATE"]),
    ):
        with all_statements_sent() as sent:
            assert counter.step(order["id"], step, counter.admin).status_code == 200
        assert sorted(text.split()[0] for text in sent) == verbs, sent
        assert len([text for text in sent if "FROM orders" in text]) == 1
