"""Amounts are exact to the cent: in lines, totals, filters and the database, up to fifteen digits."""

from decimal import Decimal

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from app.orders.models import Order
from tests.app.catalog.catalog_api import Headers
from tests.app.orders.orders_api import OrdersApi, amounts
from tests.contract.problems import problem

# Prices with quantities whose products or sums binary floating point gets wrong, and large ones.
SUMS = {
    "0.30": (("0.10", 1), ("0.20", 1)),
    "0.70": (("0.10", 7),),
    "1.21": (("0.11", 11),),
    "8.70": (("4.35", 2),),
    "1013.98": (("1.10", 3), ("1.15", 100), ("2.675".removesuffix("5"), 4), ("884.98", 1)),
    "9999999999999.99": (("99999999.99", 99_999), ("99998.99", 1), ("1000.00", 100)),
}


@pytest.mark.parametrize("total", SUMS)
def test_a_total_is_exact(counter: OrdersApi, buyer: Headers, total: str) -> None:
    """In the response, in the list, in filters and in the table."""
    lines = SUMS[total]
    difference = Decimal(total) - sum((Decimal(price) * quantity for price, quantity in lines), Decimal())
    assert difference >= 0
    if difference:
        lines = (*lines, (str(difference), 1))
    wishes = [(counter.add_book(price=price, stock=2**31 - 1), quantity) for price, quantity in lines]
    order = counter.ordered(buyer, *wishes)
    assert order["total"] == sum(amounts(order)) == Decimal(total)
    assert [line["unit_price"] for line in order["lines"]] == [Decimal(price) for price, _ in lines]
    assert counter.orders(buyer, total=total) == [order]
    assert counter.orders(buyer, total__lt=total) == counter.orders(buyer, total__gt=total) == []
    app = counter.client.app
    assert isinstance(app, FastAPI)
    table: sa.Table = Order.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
    with app.state.database.engine.connect() as connection:
        assert connection.scalar(sa.select(table.c.total).where(table.c.id == order["id"])) == Decimal(total)


def test_a_cent_past_the_largest_total_is_400(counter: OrdersApi, buyer: Headers) -> None:
    """It is rejected, never rounded. Nothing is taken from stock."""
    dear, cent = counter.add_book(price="99999999.99", stock=200_000), counter.add_book(price="0.01", stock=2**31 - 1)
    counter.fill(buyer, (dear, 100_000), (cent, 100_000))
    problem(counter.order(buyer), 400, "order_too_large")
    assert (counter.stock(dear), counter.stock(cent)) == (200_000, 2**31 - 1)
    assert counter.cart(buyer) == {dear: 100_000, cent: 100_000}
    assert counter.orders(buyer) == []
