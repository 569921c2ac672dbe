"""An order contains the whole cart at present prices and takes the books from stock, or nothing happens."""

from tests.app.catalog.catalog_api import BOOKS, Headers, exact
from tests.app.orders.orders_api import ORDERS, OrdersApi
from tests.conftest import sign_up, unique
from tests.contract.problems import problem


def test_a_cart_becomes_an_order(counter: OrdersApi, buyer: Headers) -> None:
    """With a line for each book, in the order of their ids. The stock is reduced and the cart is empty."""
    title = unique("Emma")
    first, second = counter.add_book(title=title, price="9.99"), counter.add_book(price="0.01")
    counter.fill(buyer, (second, 3), (first, 2))
    answer = counter.order(buyer)
    assert answer.status_code == 201, answer.text
    order = answer.json()
    assert answer.headers["location"] == f"{ORDERS}/{order['id']}"
    assert (order["status"], order["total"]) == ("placed", 20.01)
    assert order["lines"][0] == {"book_id": first, "title": title, "unit_price": 9.99, "quantity": 2}
    assert [line["book_id"] for line in order["lines"]] == [first, second]
    stored = counter.client.get(answer.headers["location"], headers=buyer)
    assert (stored.json(), stored.headers["etag"]) == (order, answer.headers["etag"])
    assert (counter.stock(first), counter.stock(second)) == (998, 997)
    assert counter.cart(buyer) == {}


def test_taking_from_stock_is_a_new_version_of_the_book(counter: OrdersApi, buyer: Headers) -> None:
    """A client that read it before the order cannot overwrite its stock."""
    book = counter.add_book()
    path = f"{BOOKS}/{book}"
    before = counter.client.get(path).headers["etag"]
    counter.ordered(buyer, (book, 1))
    headers = {**counter.admin, "If-Match": before}
    problem(counter.client.patch(path, json={"stock": 1000}, headers=headers), 412, "stale")
    assert counter.stock(book) == 999


def test_an_order_keeps_its_prices_and_titles(counter: OrdersApi, buyer: Headers) -> None:
    """The price is that of the time of the order, not of the addition to the cart, nor a later one."""
    title = unique("Emma")
    book = counter.add_book(title=title, price=5)
    counter.fill(buyer, (book, 2))
    counter.shop.change(book, price=6)
    order = counter.ordered(buyer)
    counter.shop.change(book, price=7, title=unique("Emma, revised"))
    assert counter.stored(order["id"], buyer) == order
    assert (order["total"], order["lines"][0]["unit_price"], order["lines"][0]["title"]) == (12, 6, title)


def test_an_empty_cart_is_400(counter: OrdersApi, buyer: Headers) -> None:
    """Before the first order and right after it."""
    problem(counter.order(buyer), 400, "empty_cart")
    assert counter.orders(buyer) == []
    order = counter.ordered(buyer, (counter.add_book(), 1))
    problem(counter.order(buyer), 400, "empty_cart")
    assert counter.orders(buyer) == [order]


def test_too_few_in_stock_changes_nothing(counter: OrdersApi, buyer: Headers) -> None:
    """The error names the book. Cart, stock and orders stay, also of the other books."""
    title = unique("Rare")
    plenty, rare = counter.add_book(), counter.add_book(title=title, stock=2)
    counter.fill(buyer, (plenty, 5), (rare, 3))
    before = [counter.shop.stored(book) for book in (plenty, rare)]
    told = problem(counter.order(buyer), 400, "insufficient_stock")
    assert told["detail"] == f'Insufficient stock of "{title}". Available: 2'
    assert [counter.shop.stored(book) for book in (plenty, rare)] == before
    assert counter.cart(buyer) == {plenty: 5, rare: 3}
    assert counter.orders(buyer) == []


def test_the_last_copies_can_be_ordered(counter: OrdersApi, buyer: Headers) -> None:
    """The stock is zero then, and never negative."""
    book = counter.add_book(stock=2)
    counter.ordered(buyer, (book, 2))
    assert counter.stock(book) == 0
    counter.fill(buyer, (book, 1))
    assert problem(counter.order(buyer), 400, "insufficient_stock")["detail"].endswith("Available: 0")
    assert counter.stock(book) == 0


def test_an_idempotency_key_orders_once(counter: OrdersApi, buyer: Headers) -> None:
    """The same response, although the cart is empty by then. A rejected order does not use up the key."""
    book, key = counter.add_book(), unique("order")
    problem(counter.order(buyer, **{"Idempotency-Key": key}), 400, "empty_cart")
    counter.fill(buyer, (book, 2))
    first, again = (counter.order(buyer, **{"Idempotency-Key": key}) for _ in range(2))
    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert counter.stock(book) == 998
    assert counter.orders(buyer) == [exact(first)]


def test_only_ones_own_cart_is_ordered(counter: OrdersApi, buyer: Headers) -> None:
    """Another account's cart stays. Without an account it is 401."""
    book = counter.add_book()
    counter.fill(buyer, (book, 1))
    problem(counter.order(sign_up(counter.client)), 400, "empty_cart")
    problem(counter.order({}), 401, "not_authenticated")
    assert counter.cart(buyer) == {book: 1}
    assert counter.stock(book) == 1000


def test_an_ordered_book_cannot_be_deleted(counter: OrdersApi, buyer: Headers) -> None:
    """Not after a cancellation either. A rejected delete empties no carts."""
    book = counter.add_book()
    order = counter.ordered(buyer, (book, 1))
    counter.step(order["id"], "cancel", buyer)
    counter.fill(buyer, (book, 1))
    problem(counter.client.delete(f"{BOOKS}/{book}", headers=counter.admin), 409, "still_referenced")
    assert counter.client.delete(f"{BOOKS}/batch?ids={book}", headers=counter.admin).status_code == 409
    assert counter.stock(book) == 1000
    assert counter.cart(buyer) == {book: 1}


def test_a_large_order_is_in_one_piece(counter: OrdersApi, buyer: Headers) -> None:
    """It has every line, and every book is taken from stock."""
    books = [counter.add_book(price="0.10", stock=3) for _ in range(40)]
    body = [{"book_id": book, "quantity": 3} for book in books]
    assert counter.client.post("/api/v1/cart-items/batch", json=body, headers=buyer).status_code == 201
    order = counter.ordered(buyer)
    assert [line["book_id"] for line in order["lines"]] == books
    assert order["total"] == 12
    assert {counter.stock(book) for book in books} == {0}


def test_there_is_no_other_way_to_write_an_order(counter: OrdersApi, buyer: Headers) -> None:
    """Neither for its customer nor for an administrator."""
    order = counter.ordered(buyer, (counter.add_book(), 1))
    path = f"{ORDERS}/{order['id']}"
    for headers in (buyer, counter.admin):
        for method in ("PATCH", "PUT", "DELETE"):
            problem(counter.client.request(method, path, json={"status": "delivered"}, headers=headers), 405)
            problem(counter.client.request(method, f"{ORDERS}/batch", json=[], headers=headers), 405)
        problem(counter.client.post(f"{ORDERS}/batch", json=[{}], headers=headers), 405)
    assert counter.stored(order["id"], buyer) == order
