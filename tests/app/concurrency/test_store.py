"""Sixteen buyers on two servers: no copy is sold twice, no order is incomplete, and stock returns exactly once."""

from collections import Counter

import httpx2

from tests.app.concurrency.store import Store, empty_cart, put
from tests.concurrency.clients import CLIENTS, Headers, statuses
from tests.concurrency.servers import together
from tests.conftest import unique

BOOKS, ROUNDS = 6, 3


def test_stock_is_taken_to_the_last_copy(clients: list[httpx2.Client], admin_headers: Headers, store: Store) -> None:
    """16 want 3 of 40: 13 get them; the response to the others says that one is left."""
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
    """16 buyers order the same books in every order, and cancel every other time.

    Each answer comes, and the sums are right.
    """
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


def test_batches_for_a_cart_add_up(clients: list[httpx2.Client], buyers: list[Headers], store: Store) -> None:
    """16 batches of the same books in one order or the other, half of them of a book twice.

    None is lost, and none waits in a circle.
    """
    books = [store.add_book(0) for _ in range(4)]

    def add(number: int) -> httpx2.Response:
        wishes = [{"book_id": book, "quantity": 1} for book in books[:: -1 if number % 2 else 1]]
        return clients[number // 2 % 2].post("/cart-items/batch", json=wishes + wishes[: number % 2], headers=buyers[2])

    assert statuses(together(add, CLIENTS)) == {(201, None): CLIENTS}
    there = clients[0].get("/cart-items", params={"size": 100}, headers=buyers[2]).json()["items"]
    counts = {row["book_id"]: row["quantity"] for row in there}
    assert [counts[book] for book in books] == [CLIENTS, CLIENTS, CLIENTS, CLIENTS + CLIENTS // 2]


def test_stock_comes_back_once(clients: list[httpx2.Client], buyers: list[Headers], store: Store) -> None:
    """16 times cancelled at once: one succeeds, and the others change nothing."""
    book, me = store.add_book(100), buyers[2]
    empty_cart(clients[0], me)
    put(clients[0], me, book, 5)
    order = clients[0].post("/orders", headers=me).json()["id"]
    answers = together(lambda number: clients[number % 2].post(f"/orders/{order}/cancel", headers=me), CLIENTS)
    assert statuses(answers) == {(200, None): 1, (409, "transition_refused"): CLIENTS - 1}
    assert (store.stock(book), store.sold(book)) == (100, 0)


def test_a_deleted_book_comes_back_once(clients: list[httpx2.Client], admin_headers: Headers, store: Store) -> None:
    """16 times at once: one brings it back, to the others it is there already."""
    book = store.add_book(7)
    assert clients[0].delete(f"/books/{book}", headers=admin_headers).status_code == 204
    path = f"/books/{book}/restore"
    answers = together(lambda number: clients[number % 2].post(path, headers=admin_headers), CLIENTS)
    assert statuses(answers) == {(200, None): 1, (409, "not_deleted"): CLIENTS - 1}
    assert store.stock(book) == 7


def test_of_a_deleted_title_and_its_rivals_one_is_stored(
    clients: list[httpx2.Client], admin_headers: Headers, store: Store
) -> None:
    """Half restore the book, half make another of its title: one has it."""
    title = unique("Wanted")
    body = store.body(title, 1)
    book = clients[0].post("/books", json=body, headers=admin_headers).json()["id"]
    assert clients[0].delete(f"/books/{book}", headers=admin_headers).status_code == 204

    def take(number: int) -> httpx2.Response:
        client = clients[number // 2 % 2]
        if number % 2:
            return client.post("/books", json=body, headers=admin_headers)
        return client.post(f"/books/{book}/restore", headers=admin_headers)

    answers = together(take, CLIENTS)
    assert sum(answer.is_success for answer in answers) == 1
    assert set(statuses(answers)) <= {(200, None), (201, None), (409, "duplicate"), (409, "not_deleted")}
    winner = next(answer.json()["id"] for answer in answers if answer.is_success)
    assert store.books(title) == [winner]
