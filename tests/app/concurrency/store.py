"""Helpers for races on the bookstore: books, carts, and queries of stock, order lines and totals."""

from decimal import Decimal
from typing import Any

import httpx2
import sqlalchemy as sa

from app.catalog.models import Book
from app.orders.models import Order, OrderLine, OrderStatus
from tests.concurrency.clients import Headers, make
from tests.concurrency.tables import Tables, columns_of
from tests.conftest import unique

BOOK, ORDER, LINE = map(columns_of, (Book, Order, OrderLine))


class Store:
    """Books of the test's own, and what the tables say of them."""

    def __init__(self, client: httpx2.Client, admin: Headers, tables: Tables) -> None:
        self._client = client
        self._tables = tables
        self.admin = admin
        self.category = make(client, "/categories", {"name": unique("race")}, admin)

    def body(self, title: str, stock: int, price: str = "0.10") -> dict[str, Any]:
        """What makes a book."""
        return {"title": title, "author": "A", "price": price, "stock": stock, "category_id": self.category}

    def add_book(self, stock: int, price: str = "0.10") -> int:
        """The id of a new book."""
        return make(self._client, "/books", self.body(unique("Book"), stock, price), self.admin)

    def books(self, title: str) -> list[int]:
        """The ids of the books of a title."""
        return [row.id for row in self._tables.rows(sa.select(BOOK.id).where(BOOK.title == title))]

    def stock(self, book: int) -> int:
        """How many are in stock."""
        return int(self._tables.value(sa.select(BOOK.stock).where(BOOK.id == book)))

    def sold(self, book: int) -> int:
        """How many were ordered, but for orders that were cancelled."""
        quantities = sa.select(sa.func.coalesce(sa.func.sum(LINE.quantity), 0)).where(LINE.order_id == ORDER.id)
        counted = quantities.where(LINE.book_id == book, ORDER.status != OrderStatus.CANCELLED)
        return int(self._tables.value(counted))

    def half_orders(self) -> list[int]:
        """The ids of orders whose lines do not add up to their total."""
        lines: dict[int, Decimal] = {}
        for line in self._tables.rows(sa.select(LINE.order_id, LINE.unit_price, LINE.quantity)):
            lines[line.order_id] = lines.get(line.order_id, Decimal()) + line.unit_price * line.quantity
        totals = {row.id: row.total for row in self._tables.rows(sa.select(ORDER.id, ORDER.total))}
        return [order for order in totals.keys() | lines.keys() if lines.get(order) != totals.get(order)]


def put(client: httpx2.Client, headers: Headers, book: int, quantity: int = 1) -> None:
    """Put a book into the cart."""
    answer = client.post("/cart-items", json={"book_id": book, "quantity": quantity}, headers=headers)
    assert answer.status_code in (200, 201), answer.text


def empty_cart(client: httpx2.Client, headers: Headers) -> None:
    """Take out what an earlier test left in the cart."""
    items = client.get("/cart-items", params={"size": 100}, headers=headers).json()["items"]
    if items:
        ids = ",".join(str(item["id"]) for item in items)
        assert client.delete(f"/cart-items/batch?ids={ids}", headers=headers).status_code == 204
