"""Carts: their items, their owners, and one item for each book."""

from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from app.orders import service
from tests.app.catalog.catalog_api import BOOKS, MISSING, Headers
from tests.app.orders.orders_api import CART, OrdersApi
from tests.conftest import unique
from tests.contract.problems import faulty_members, problem

LARGEST = 2**31 - 1


def test_a_book_is_new_in_the_cart_once(counter: OrdersApi, buyer: Headers) -> None:
    """201 with its path the first time, then 200 and a greater quantity. Each response shows the stored quantity."""
    book = counter.add_book()
    first, second = counter.put(buyer, book, 2), counter.put(buyer, book, 3)
    assert (first.status_code, second.status_code) == (201, 200)
    path = f"{CART}/{first.json()['id']}"
    assert first.headers["location"] == path
    assert "location" not in second.headers
    assert second.json() == {**first.json(), "quantity": 5, "updated_at": second.json()["updated_at"]}
    stored = counter.client.get(path, headers=buyer)
    assert stored.json() == second.json()
    assert first.headers["etag"] != second.headers["etag"] == stored.headers["etag"]
    assert counter.cart(buyer) == {book: 5}


def test_an_idempotency_key_adds_once(counter: OrdersApi, buyer: Headers) -> None:
    """For a new book and for one in the cart: the same response, and no more copies."""
    book = counter.add_book()
    for status, quantity in ((201, 2), (200, 4)):
        key = {"Idempotency-Key": unique("cart")}
        first, again = counter.put(buyer, book, 2, extra=key), counter.put(buyer, book, 2, extra=key)
        assert (first.status_code, again.status_code, again.content) == (status, status, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["etag"] == first.headers["etag"]
        assert counter.cart(buyer) == {book: quantity}
        assert counter.put(buyer, book, 9, extra=key).status_code == 422


def test_a_batch_adds_up(counter: OrdersApi, buyer: Headers) -> None:
    """To the stored quantity, and within the batch."""
    known, new = counter.add_book(), counter.add_book()
    counter.fill(buyer, (known, 1))
    body = [{"book_id": book, "quantity": 2} for book in (known, new, new)]
    answer = counter.client.post(f"{CART}/batch", json=body, headers=buyer)
    assert answer.status_code == 201, answer.text
    assert [(row["book_id"], row["quantity"]) for row in answer.json()] == [(known, 3), (new, 2), (new, 4)]
    assert counter.cart(buyer) == {known: 3, new: 4}


def test_a_batch_with_a_book_that_is_not_there_adds_nothing(counter: OrdersApi, buyer: Headers) -> None:
    """The error names the element."""
    body = [{"book_id": book, "quantity": 1} for book in (counter.add_book(), MISSING)]
    answer = counter.client.post(f"{CART}/batch", json=body, headers=buyer)
    told = answer.json()
    assert (answer.status_code, told["code"], told["errors"][0]["loc"]) == (409, "reference_not_found", ["body", 1])
    assert counter.cart(buyer) == {}


def test_a_book_that_is_not_there_is_409(counter: OrdersApi, buyer: Headers) -> None:
    """The error names the member."""
    told = problem(counter.put(buyer, MISSING), 409, "reference_not_found")
    assert told["detail"] == f"book_id: there is nothing with the id {MISSING}."
    assert counter.cart(buyer) == {}


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"quantity": 0}, "quantity"),
        ({"quantity": -1}, "quantity"),
        ({"quantity": 1.5}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"quantity": LARGEST + 1}, "quantity"),
        ({"quantity": None}, "quantity"),
        ({"book_id": LARGEST + 1}, "book_id"),
        ({"book_id": "1"}, "book_id"),
        ({"user_id": 1}, "user_id"),
        ({"id": 1}, "id"),
    ],
)
def test_a_quantity_over_the_limit_is_422(
    counter: OrdersApi, buyer: Headers, body: dict[str, Any], member: str
) -> None:
    """The error names the member."""
    sent = {"book_id": counter.add_book(), "quantity": 1, **body}
    assert faulty_members(counter.client.post(CART, json=sent, headers=buyer)) == {member}
    assert counter.cart(buyer) == {}


def test_more_copies_than_can_be_counted_are_409(counter: OrdersApi, buyer: Headers) -> None:
    """Past the largest number of the column. The stored quantity stays."""
    book = counter.add_book()
    counter.fill(buyer, (book, LARGEST - 1), (book, 1))
    problem(counter.put(buyer, book), 409, "cart_full")
    assert counter.cart(buyer) == {book: LARGEST}


def test_the_number_of_books_in_a_cart_is_limited(
    counter: OrdersApi, buyer: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More copies of a book in it are no further book."""
    monkeypatch.setattr(service, "MAX_BOOKS", 2)
    first, second, third = (counter.add_book() for _ in range(3))
    counter.fill(buyer, (first, 1), (second, 1))
    problem(counter.put(buyer, third), 409, "cart_full")
    counter.fill(buyer, (first, 1))
    assert counter.cart(buyer) == {first: 2, second: 1}


def test_the_quantity_can_be_changed_and_the_book_cannot(counter: OrdersApi, buyer: Headers) -> None:
    """Another book is another item."""
    book, other = counter.add_book(), counter.add_book()
    item = f"{CART}/{counter.put(buyer, book, 2).json()['id']}"
    answer = counter.client.patch(item, json={"quantity": 7}, headers=buyer)
    assert (answer.status_code, answer.json()["quantity"]) == (200, 7)
    assert faulty_members(counter.client.patch(item, json={"quantity": 0}, headers=buyer)) == {"quantity"}
    assert faulty_members(counter.client.patch(item, json={"book_id": other}, headers=buyer)) == {"book_id"}
    assert counter.cart(buyer) == {book: 7}
    assert counter.client.delete(item, headers=buyer).status_code == 204
    assert counter.cart(buyer) == {}


def test_a_cart_is_its_owners(counter: OrdersApi, buyer: Headers, stranger: Headers) -> None:
    """To another account its items are 404 and in no list. An administrator sees them."""
    book = counter.add_book()
    row = counter.put(buyer, book, 2).json()
    item = f"{CART}/{row['id']}"
    assert book not in counter.cart(stranger)
    for method, body in (("GET", None), ("PATCH", {"quantity": 9}), ("PUT", {"quantity": 9}), ("DELETE", None)):
        problem(counter.client.request(method, item, json=body, headers=stranger), 404, "not_found")
    assert counter.client.get(item, headers=counter.admin).json() == row


def test_the_same_book_is_in_many_carts(counter: OrdersApi, buyer: Headers, stranger: Headers) -> None:
    """Adding it changes the caller's cart only."""
    book = counter.add_book()
    counter.fill(buyer, (book, 2))
    assert counter.put(stranger, book, 5).status_code == 201
    assert (counter.cart(buyer)[book], counter.cart(stranger)[book]) == (2, 5)


@pytest.mark.parametrize("path", ["", "/batch"])
def test_a_cart_takes_an_account(counter: OrdersApi, path: str) -> None:
    """Without one it is 401."""
    body: Any = {"book_id": counter.add_book(), "quantity": 1}
    answer = counter.client.post(CART + path, json=[body] if path else body)
    problem(answer, 401, "not_authenticated")


def test_a_deleted_book_leaves_every_cart(counter: OrdersApi, buyer: Headers) -> None:
    """Other items stay."""
    gone, kept = counter.add_book(), counter.add_book()
    counter.fill(buyer, (gone, 1), (kept, 1))
    assert counter.client.delete(f"{BOOKS}/{gone}", headers=counter.admin).status_code == 204
    assert counter.cart(buyer) == {kept: 1}


def test_of_two_errors_of_a_batch_the_first_elements_is_returned(counter: OrdersApi, buyer: Headers) -> None:
    """Whatever the fault is. A rejected batch adds nothing, not even to items in the cart."""
    book = counter.add_book()
    counter.fill(buyer, (book, 2))
    missing, too_many = {"book_id": MISSING, "quantity": 1}, {"book_id": book, "quantity": LARGEST - 2}
    fine = {"book_id": book, "quantity": 1}
    for bodies, code in (([missing, too_many], "reference_not_found"), ([too_many, missing], "cart_full")):
        told = problem(counter.client.post(f"{CART}/batch", json=[fine, *bodies], headers=buyer), 409, code)
        assert told["errors"][0]["loc"] == ["body", 1]
    assert counter.cart(buyer) == {book: 2}


def test_a_batch_may_fill_the_cart_and_no_more(
    counter: OrdersApi, buyer: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More copies of a book that is new in the batch are no further book."""
    monkeypatch.setattr(service, "MAX_BOOKS", 3)
    first, *others = (counter.add_book() for _ in range(4))
    counter.fill(buyer, (first, 1))
    bodies = [{"book_id": book, "quantity": 1} for book in (others[0], others[0], first, *others[1:])]
    told = problem(counter.client.post(f"{CART}/batch", json=bodies, headers=buyer), 409, "cart_full")
    assert told["errors"][0]["loc"] == ["body", 4]
    assert counter.cart(buyer) == {first: 1}
    assert counter.client.post(f"{CART}/batch", json=bodies[:4], headers=buyer).status_code == 201
    assert counter.cart(buyer) == {first: 2, others[0]: 2, others[1]: 1}


def test_every_error_of_a_file_is_listed_and_nothing_is_added(counter: OrdersApi, buyer: Headers) -> None:
    """The error lists every faulty row. The file without faults adds each copy once."""
    book = counter.add_book()
    counter.fill(buyer, (book, LARGEST - 4))
    wishes = [(book, 2), (MISSING, 1), (book, 3), (book, 2), (book, 1)]
    head, rows = "book_id,quantity\n", [f"{wish[0]},{wish[1]}\n" for wish in wishes]
    kind = {**buyer, "Content-Type": "text/csv"}
    told = problem(counter.client.post(f"{CART}/import", content=head + "".join(rows), headers=kind), 409)
    assert [(fault["loc"][1], fault["type"]) for fault in told["errors"]] == [
        (1, "reference_not_found"), (2, "cart_full"), (4, "cart_full"),
    ]  # fmt: skip
    assert counter.cart(buyer) == {book: LARGEST - 4}
    fine = counter.client.post(f"{CART}/import", content=head + rows[0] + rows[3], headers=kind)
    assert (fine.status_code, fine.json()) == (201, {"created": 2})
    assert counter.cart(buyer) == {book: LARGEST}


def test_a_batch_of_wishes_asks_as_often_as_a_small_one(counter: OrdersApi, buyer: Headers) -> None:
    """On SQLite, new rows are stored one by one."""
    engine: sa.Engine = counter.client.app.state.database.engine  # type: ignore[attr-defined]  # it is a FastAPI
    books, counts = [counter.add_book() for _ in range(12)], []
    for size in (2, 10):
        sent: list[str] = []

        def note(_connection: Any, _cursor: Any, text: str, *_rest: Any, sent: list[str] = sent) -> None:
            sent.append(text.partition(" ")[0])

        bodies = [{"book_id": book, "quantity": 1} for book in books[:size]] * 2
        books = books[size:]
        event.listen(engine, "before_cursor_execute", note)
        answer = counter.client.post(f"{CART}/batch", json=bodies, headers=buyer)
        event.remove(engine, "before_cursor_execute", note)
        assert [row["quantity"] for row in answer.json()] == [1] * size + [2] * size
        counts.append(sent.count("SELECT"))
    assert counts[0] == counts[1] > 0
