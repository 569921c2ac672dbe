"""Prices are exact to the cent: in requests, responses, filters, sorts and both databases."""

from decimal import Decimal

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from app.catalog.models import Book
from tests.app.catalog.catalog_api import CatalogApi, exact
from tests.contract.problems import problem

# Among them sums and products that binary floating point gets wrong, and the largest price there is.
PRICES = ("0.01", "0.07", "0.10", "0.29", "0.30", "1.10", "4.35", "19.99", "33.33", "1234567.89", "99999999.99")


@pytest.mark.parametrize("price", PRICES)
def test_a_price_comes_back_as_it_was_sent(shop: CatalogApi, category: int, price: str) -> None:
    """As a JSON number, whether it was sent as a number or as a string."""
    by_text, by_number = shop.offer(category, price=price), shop.offer(category, price=float(price))
    assert exact(by_text)["price"] == exact(by_number)["price"] == Decimal(price)
    book = by_text.json()["id"]
    assert shop.stored(book)["price"] == Decimal(price)
    assert exact(shop.change(book, price=by_number.json()["price"]))["price"] == Decimal(price)


def test_every_cent_survives(shop: CatalogApi, category: int) -> None:
    """A few hundred prices, one after the other, on one book."""
    book = shop.add_book(category)
    for cents in range(1, 4000, 13):
        price = Decimal(cents) / 100
        assert exact(shop.change(book, price=float(price)))["price"] == price


def test_the_database_holds_the_exact_decimal(shop: CatalogApi, category: int) -> None:
    """Read from the database with the column's own type."""
    shop_books = [shop.add_book(category, price=price) for price in PRICES]
    app = shop.client.app
    assert isinstance(app, FastAPI)
    table: sa.Table = Book.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
    source = sa.select(table.c.price).where(table.c.id.in_(shop_books)).order_by(table.c.id)
    with app.state.database.engine.connect() as connection:
        assert list(connection.scalars(source)) == [Decimal(price) for price in PRICES]


@pytest.mark.parametrize(
    "price", ["0.001", "9.999", "0.30000000000000004", 0.1 + 0.2, "1e-3", "NaN", "Infinity", "", "1,5"]
)
def test_what_is_no_amount_of_cents_is_refused(shop: CatalogApi, category: int, price: str | float) -> None:
    """It is rejected, never rounded."""
    problem(shop.offer(category, price=price), 422, "invalid_input")
    assert shop.find(category) == []


@pytest.mark.parametrize("price", PRICES)
def test_filters_compare_to_the_cent(shop: CatalogApi, category: int, price: str) -> None:
    """`min_price` and `max_price` include their bound. A cent decides."""
    book = shop.add_book(category, price=price)
    above, below = Decimal(price) + Decimal("0.01"), Decimal(price) - Decimal("0.01")
    for name in ("min_price", "max_price", "price", "price__gte", "price__lte"):
        assert shop.find(category, **{name: price}) == [book], name
    for name, bound in {"min_price": above, "max_price": below, "price__gt": price, "price__lt": price}.items():
        assert shop.find(category, **{name: bound}) == [], name


def test_min_price_and_max_price_make_a_range(shop: CatalogApi, category: int) -> None:
    """Both ends are included. Other filters apply as well."""
    books = {
        price: shop.add_book(category, price=price, stock=n) for n, price in enumerate(("5.00", "7.50", "9.99", "12"))
    }
    assert shop.find(category, min_price="7.50", max_price="9.99") == [books["7.50"], books["9.99"]]
    assert shop.find(category, min_price="7.51", max_price="9.98") == []
    assert shop.find(category, min_price=5, max_price=12, stock__gte=2) == [books["9.99"], books["12"]]
    assert shop.find(category, min_price=10, max_price=6) == []


@pytest.mark.parametrize("name", ["min_price", "max_price"])
def test_a_bound_that_is_no_number_is_refused(shop: CatalogApi, name: str) -> None:
    """The error names the parameter."""
    answer = shop.client.get("/api/v1/books", params={name: "cheap"})
    problem(answer, 422, "invalid_input")
    assert answer.json()["errors"][0]["loc"][:2] == ["query", name]


def test_prices_sort_as_numbers(shop: CatalogApi, category: int) -> None:
    """Not as text, in which 9 comes after 10."""
    nine, ten = shop.add_book(category, price="9.00"), shop.add_book(category, price="10.00")
    assert shop.find(category, sort="price") == [nine, ten]
    assert shop.find(category, sort="-price") == [ten, nine]
