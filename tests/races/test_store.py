"""Sixteen buyers at two servers: no copy is sold twice, no order is half, and what was acknowledged survives a killed server."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from threading import Semaphore
from typing import Any

import httpx2
import pytest
import sqlalchemy as sa

from backend.catalog.models import Book
from backend.orders.models import Order, OrderLine, OrderStatus
from tests.conftest import PASSWORD, unique
from tests.races.conftest import sign_in
from tests.races.servers import Server, serve, together

pytestmark = pytest.mark.xdist_group("races")  # the servers are started once
CLIENTS, BOOKS, ROUNDS = 16, 6, 3
ENOUGH = 12  # acknowledged orders before the server is killed
PATIENT = 60.0  # hashing for many, or a further server, on a busy machine
Headers = dict[str, str]
MODELS: tuple[Any, ...] = (Book, Order, OrderLine)
BOOK, ORDER, LINE = (model.__table__.c for model in MODELS)


@pytest.fixture(scope="module")
def buyers(clients: list[httpx2.Client]) -> list[Headers]:
    """The headers of sixteen accounts; hashing for them all takes its time."""

    def sign_up(number: int) -> Headers:
        email = f"{unique('buyer')}-{number}@example.com"
        body = {"email": email, "password": PASSWORD, "full_name": "Buyer"}
        with httpx2.Client(base_url=clients[number % 2].base_url, timeout=PATIENT) as patient:
            assert patient.post("/users", json=body).status_code == 201
            return sign_in(patient, email, PASSWORD)

    return together(sign_up, CLIENTS)


class Store:
    """Books of the test's own, and what the tables say of them."""

    def __init__(self, client: httpx2.Client, admin: Headers, database: sa.Connection) -> None:
        self._client = client
        self._admin = admin
        self._database = database
        self._category = self._add("/categories", {"name": unique("race")})

    def _add(self, path: str, body: dict[str, Any]) -> int:
        answer = self._client.post(path, json=body, headers=self._admin)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["id"])

    def add_book(self, stock: int, price: str = "0.10") -> int:
        """The id of a new book."""
        body = {"title": unique("Book"), "author": "A", "price": price, "stock": stock, "category_id": self._category}
        return self._add("/books", body)

    def stock(self, book: int) -> int:
        """How many are in stock."""
        return int(self._database.execute(sa.select(BOOK.stock).where(BOOK.id == book)).scalar_one())

    def sold(self, book: int) -> int:
        """How many were ordered, but for orders that were cancelled."""
        quantities = sa.select(sa.func.coalesce(sa.func.sum(LINE.quantity), 0)).where(LINE.order_id == ORDER.id)
        counted = quantities.where(LINE.book_id == book, ORDER.status != OrderStatus.CANCELLED)
        return int(self._database.execute(counted).scalar_one())

    def half_orders(self) -> list[int]:
        """The ids of orders whose lines do not add up to their total."""
        lines: dict[int, Decimal] = {}
        for line in self._database.execute(sa.select(LINE.order_id, LINE.unit_price, LINE.quantity)):
            lines[line.order_id] = lines.get(line.order_id, Decimal()) + line.unit_price * line.quantity
        totals = {row.id: row.total for row in self._database.execute(sa.select(ORDER.id, ORDER.total))}
        return [order for order in totals.keys() | lines.keys() if lines.get(order) != totals.get(order)]


@pytest.fixture
def store(clients: list[httpx2.Client], admin_headers: Headers, database: sa.Connection) -> Store:
    """A shelf of the test's own."""
    return Store(clients[0], admin_headers, database)


def statuses(answers: list[httpx2.Response]) -> Counter[tuple[int, str | None]]:
    """How often each status came, with its code."""
    return Counter((answer.status_code, None if answer.is_success else answer.json()["code"]) for answer in answers)


def put(client: httpx2.Client, headers: Headers, book: int, quantity: int = 1) -> None:
    """Put a book into the cart."""
    answer = client.post("/cart-items", json={"book_id": book, "quantity": quantity}, headers=headers)
    assert answer.status_code in (200, 201), answer.text


def test_stock_is_taken_to_the_last_copy(clients: list[httpx2.Client], admin_headers: Headers, store: Store) -> None:
    """16 want 3 of 40: 13 get them, the others are told that one is left."""
    book = store.add_book(40)

    def take(number: int) -> httpx2.Response:
        return clients[number % 2].post(f"/books/{book}/stock", json={"quantity": 3}, headers=admin_headers)

    answers = together(take, CLIENTS)
    assert statuses(answers) == {(200, None): 13, (400, "insufficient_stock"): 3}
    refused = {answer.json()["detail"] for answer in answers if not answer.is_success}
    assert refused == {"Insufficient stock. Available: 1"}
    assert sorted(answer.json()["stock"] for answer in answers if answer.is_success) == list(range(1, 40, 3))
    assert store.stock(book) == 1


def test_overlapping_carts_never_wait_for_each_other(
    clients: list[httpx2.Client], buyers: list[Headers], store: Store
) -> None:
    """16 buyers order the same books in every order, and cancel every other time: each answer comes, and the sums are right."""
    stock = CLIENTS * ROUNDS // 2
    books = [store.add_book(stock) for _ in range(BOOKS)]

    def buy(number: int) -> list[httpx2.Response]:
        client, me = clients[number % 2], buyers[number]
        mine = books[number % BOOKS :] + books[: number % BOOKS]
        answers = []
        for turn in range(ROUNDS):
            for book in mine[: 4 + turn % 2][:: -1 if number % 3 else 1]:
                put(client, me, book)
            answers.append(client.post("/orders", headers=me))
            if answers[-1].is_success and turn % 2:
                answers.append(client.post(f"/orders/{answers[-1].json()['id']}/cancel", headers=me))
        return answers

    told = statuses([answer for answers in together(buy, CLIENTS) for answer in answers])
    assert set(told) <= {(201, None), (200, None), (400, "insufficient_stock")}
    assert told[201, None] >= stock // 2
    assert [store.stock(book) + store.sold(book) for book in books] == [stock] * BOOKS
    assert min(store.stock(book) for book in books) >= 0
    assert store.half_orders() == []


def test_a_cart_is_ordered_once(clients: list[httpx2.Client], buyers: list[Headers], store: Store) -> None:
    """16 times at once: one order, and 15 times there is nothing to order."""
    book, me = store.add_book(100), buyers[0]
    empty_cart(clients[0], me)
    put(clients[0], me, book, 2)
    answers = together(lambda number: clients[number % 2].post("/orders", headers=me), CLIENTS)
    assert statuses(answers) == {(201, None): 1, (400, "empty_cart"): CLIENTS - 1}
    assert (store.stock(book), store.sold(book)) == (98, 2)


def empty_cart(client: httpx2.Client, headers: Headers) -> None:
    """Take out what an earlier test left in the cart."""
    items = client.get("/cart-items", params={"size": 100}, headers=headers).json()["items"]
    if items:
        ids = ",".join(str(item["id"]) for item in items)
        assert client.delete(f"/cart-items/batch?ids={ids}", headers=headers).status_code == 204


def test_a_book_is_added_to_a_cart_by_all_who_add_it(
    clients: list[httpx2.Client], buyers: list[Headers], store: Store
) -> None:
    """16 times at once: new once, and as many copies as were added."""
    book, me = store.add_book(100), buyers[1]
    body = {"book_id": book, "quantity": 3}
    answers = together(lambda number: clients[number % 2].post("/cart-items", json=body, headers=me), CLIENTS)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: CLIENTS - 1}
    assert sorted(answer.json()["quantity"] for answer in answers) == list(range(3, 3 * CLIENTS + 1, 3))
    found = clients[1].get("/cart-items", params={"book_id": book}, headers=me).json()["items"]
    assert [item["quantity"] for item in found] == [3 * CLIENTS]


def test_stock_comes_back_once(clients: list[httpx2.Client], buyers: list[Headers], store: Store) -> None:
    """16 times cancelled at once: one succeeds, and the others change nothing."""
    book, me = store.add_book(100), buyers[2]
    empty_cart(clients[0], me)
    put(clients[0], me, book, 5)
    order = clients[0].post("/orders", headers=me).json()["id"]
    answers = together(lambda number: clients[number % 2].post(f"/orders/{order}/cancel", headers=me), CLIENTS)
    assert statuses(answers) == {(200, None): 1, (409, "transition_refused"): CLIENTS - 1}
    assert (store.stock(book), store.sold(book)) == (100, 0)


@pytest.fixture
def victim(race_url: str) -> Iterator[Server]:
    """A further server on the same database, to be killed."""
    with serve(race_url) as (server,):
        yield server


def buy_until_it_dies(server: Server, me: Headers, books: list[int], acknowledged: Semaphore) -> list[dict[str, Any]]:
    """The orders that the server acknowledged until it answered no more."""
    told = []
    with httpx2.Client(base_url=f"{server.url}/api/v1", timeout=PATIENT) as client:
        try:
            while True:
                for book in books:
                    put(client, me, book)
                answer = client.post("/orders", headers=me)
                assert answer.status_code == 201, answer.text
                told.append(answer.json())
                acknowledged.release()
        except httpx2.TransportError:
            return told


def test_a_killed_server_leaves_no_half_order(
    victim: Server, clients: list[httpx2.Client], buyers: list[Headers], store: Store
) -> None:
    """Every acknowledged order is there as it was told; every order is whole; no copy is lost."""
    books = [store.add_book(100_000, price) for price in ("0.10", "0.20", "33.33")]
    acknowledged = Semaphore(0)
    for me in buyers:
        empty_cart(clients[0], me)

    def work(number: int) -> list[dict[str, Any]]:
        if number < CLIENTS:
            mine = books[:: -1 if number % 2 else 1]
            return buy_until_it_dies(victim, buyers[number], mine, acknowledged)
        for _ in range(ENOUGH):
            acknowledged.acquire()
        victim.process.kill()
        return []

    *by_buyer, _ = together(work, CLIENTS + 1)
    assert sum(map(len, by_buyer)) >= ENOUGH
    for me, told in zip(buyers, by_buyer, strict=True):
        for order in told:
            assert clients[0].get(f"/orders/{order['id']}", headers=me).json() == order
    assert store.half_orders() == []
    assert [store.stock(book) + store.sold(book) for book in books] == [100_000] * 3
