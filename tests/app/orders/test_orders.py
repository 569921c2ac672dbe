"""Customers and administrators read orders with their lines, as any list."""

import json
from decimal import Decimal

import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy import event

from tests.app.catalog.catalog_api import Headers
from tests.app.orders.orders_api import ORDERS, OrdersApi
from tests.contract.problems import faulty_members, problem


def test_an_order_is_its_customers(counter: OrdersApi, buyer: Headers, stranger: Headers) -> None:
    """To another account it is 404, in no list, and takes no step. Administrators see it with its lines."""
    order = counter.ordered(buyer, (counter.add_book(), 2))
    path = f"{ORDERS}/{order['id']}"
    problem(counter.client.get(path, headers=stranger), 404, "not_found")
    problem(counter.client.get(path), 401, "not_authenticated")
    assert counter.orders(stranger, id=order["id"]) == []
    for step in ("cancel", "ship", "deliver"):
        problem(counter.step(order["id"], step, stranger), 404, "not_found")
        problem(counter.step(order["id"], step, {}), 401, "not_authenticated")
    assert counter.stored(order["id"], counter.admin) == order
    assert counter.orders(counter.admin, id=order["id"]) == [order]


def test_orders_are_a_list_like_any_other(counter: OrdersApi, buyer: Headers) -> None:
    """Pages, cursors, sorts and filters, each order with its own lines."""
    books = [counter.add_book(price=price) for price in (3, 1, 2)]
    made = [counter.ordered(buyer, (book, 1), (books[0], 1)) for book in books]
    assert counter.orders(buyer) == made
    assert counter.orders(buyer, sort="-total", size=1) == [max(made, key=lambda order: order["total"])]
    assert counter.orders(buyer, page=2, size=2) == made[2:]
    assert counter.orders(buyer, id__gt=made[0]["id"], status="placed", total__lt=5) == [made[1]]
    page = counter.client.get(ORDERS, params={"sort": "-id", "size": 2}, headers=buyer).json()
    assert counter.orders(buyer, cursor=page["next_cursor"]) == made[:1]
    assert faulty_members(counter.client.get(ORDERS, params={"sort": "lines"}, headers=buyer)) == {"sort"}
    assert faulty_members(counter.client.get(ORDERS, params={"lines": "1"}, headers=buyer)) == {"lines"}


def test_lines_can_be_chosen_and_left_out(counter: OrdersApi, buyer: Headers) -> None:
    """`fields` supports them like any member, in the list and by the id."""
    order = counter.ordered(buyer, (counter.add_book(), 2))
    path, query = f"{ORDERS}/{order['id']}", {"fields": "lines,status"}
    assert counter.orders(buyer, **query) == [{"status": "placed", "lines": order["lines"]}]
    assert counter.client.get(path, params=query, headers=buyer).json()["lines"][0]["quantity"] == 2
    assert counter.orders(buyer, fields="id") == [{"id": order["id"]}]


def test_orders_within_an_account_have_their_lines(counter: OrdersApi, buyer: Headers) -> None:
    """`expand` embeds complete orders."""
    order = counter.ordered(buyer, (counter.add_book(price=2), 2))
    path = f"/api/v1/users/{order['customer_id']}"
    account = counter.client.get(path, params={"expand": "orders"}, headers=counter.admin).json()
    assert account["orders"] == [order]


def test_an_unchanged_order_is_304(counter: OrdersApi, buyer: Headers) -> None:
    """A step changes its version."""
    order = counter.ordered(buyer, (counter.add_book(), 1))
    path = f"{ORDERS}/{order['id']}"
    tag = counter.client.get(path, headers=buyer).headers["etag"]
    known = {**buyer, "If-None-Match": tag}
    assert counter.client.get(path, headers=known).status_code == 304
    cancelled = counter.step(order["id"], "cancel", buyer)
    again = counter.client.get(path, headers=known)
    assert (again.status_code, again.headers["etag"]) == (200, cancelled.headers["etag"])


def test_a_list_takes_as_many_statements_for_one_order_as_for_many(counter: OrdersApi, buyer: Headers) -> None:
    """One statement reads the lines of all orders."""
    app = counter.client.app
    assert isinstance(app, FastAPI)
    engine: sa.Engine = app.state.database.engine
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    books = [counter.add_book() for _ in range(3)]
    counts = []
    event.listen(engine, "before_cursor_execute", note)
    try:
        for book in books:
            counter.ordered(buyer, *((other, 1) for other in books[: books.index(book) + 1]))
            seen.clear()
            counter.orders(buyer)
            counts.append(sum("order_lines" in statement for statement in seen))
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert counts == [1, 1, 1]


def test_a_file_of_orders_has_the_lines_where_it_can(counter: OrdersApi, buyer: Headers) -> None:
    """NDJSON has the members of a get. CSV has no lines, and rejects a request for them."""
    order = counter.ordered(buyer, (counter.add_book(), 2), (counter.add_book(), 1))
    export = f"{ORDERS}/export"
    whole = counter.client.get(export, params={"format": "ndjson"}, headers=buyer)
    assert [json.loads(line, parse_float=Decimal) for line in whole.text.splitlines()] == [order]
    some = counter.client.get(export, params={"format": "ndjson", "fields": "lines"}, headers=buyer)
    assert json.loads(some.text, parse_float=Decimal) == {"lines": order["lines"]}
    sheet = counter.client.get(export, headers=buyer).text.splitlines()
    assert sheet[0] == "id,customer_id,status,total,created_at,updated_at"
    assert faulty_members(counter.client.get(export, params={"fields": "lines"}, headers=buyer)) == {"fields"}
