"""Helpers: books, carts and orders over HTTP, with exact amounts."""

from decimal import Decimal
from typing import Any

from httpx2 import Response

from tests.app.catalog.catalog_api import CatalogApi, Headers, exact

CART, ORDERS = "/api/v1/cart-items", "/api/v1/orders"
PLENTY = 1000


class OrdersApi:
    """Sells the books of one category."""

    def __init__(self, shop: CatalogApi, category: int) -> None:
        self.shop = shop
        self.client = shop.client
        self.admin = shop.admin
        self.category = category

    def add_book(self, **members: Any) -> int:
        """Create a book with a large stock, and return its id."""
        return self.shop.add_book(self.category, **{"stock": PLENTY, **members})

    def stock(self, book: int) -> int:
        """Return the number of copies in stock."""
        return int(self.shop.stored(book)["stock"])

    def put(self, buyer: Headers, book: int, quantity: int = 1, **options: Any) -> Response:
        """Return the response to copies of a book for the cart."""
        headers = {**buyer, **options.pop("extra", {})}
        return self.client.post(CART, json={"book_id": book, "quantity": quantity}, headers=headers)

    def fill(self, buyer: Headers, *wishes: tuple[int, int]) -> None:
        """Put books into the cart."""
        for book, quantity in wishes:
            answer = self.put(buyer, book, quantity)
            assert answer.status_code in (200, 201), answer.text

    def cart(self, buyer: Headers) -> dict[int, int]:
        """Return the quantities in the cart by book."""
        answer = self.client.get(CART, params={"size": 100}, headers=buyer)
        assert answer.status_code == 200, answer.text
        return {row["book_id"]: row["quantity"] for row in answer.json()["items"]}

    def order(self, buyer: Headers, **headers: str) -> Response:
        """Return the response to an order of the cart."""
        return self.client.post(ORDERS, headers={**buyer, **headers})

    def ordered(self, buyer: Headers, *wishes: tuple[int, int]) -> dict[str, Any]:
        """Return a new order of these books, with exact amounts."""
        self.fill(buyer, *wishes)
        answer = self.order(buyer)
        assert answer.status_code == 201, answer.text
        return exact(answer)

    def step(self, order: int, name: str, headers: Headers) -> Response:
        """Return the response to a step of an order."""
        return self.client.post(f"{ORDERS}/{order}/{name}", headers=headers)

    def stored(self, order: int, headers: Headers) -> dict[str, Any]:
        """Return the order as its caller sees it, with exact amounts."""
        answer = self.client.get(f"{ORDERS}/{order}", headers=headers)
        assert answer.status_code == 200, answer.text
        return exact(answer)

    def orders(self, buyer: Headers, **query: Any) -> list[dict[str, Any]]:
        """Return a page of the caller's orders."""
        answer = self.client.get(ORDERS, params=query, headers=buyer)
        assert answer.status_code == 200, answer.text
        found: list[dict[str, Any]] = exact(answer)["items"]
        return found


def amounts(order: dict[str, Any]) -> list[Decimal]:
    """Return the amount of each line of an order."""
    return [line["unit_price"] * line["quantity"] for line in order["lines"]]
