"""Fills an empty database with demo data: `python -m app.demo.seed`. Does nothing if the database has accounts.

Outside development it stores nothing, says so on standard error, and exits with 1. With `--start`, which `scripts/run`
gives, it exits with 0: the start goes on without the demo.
"""

import argparse
import csv
import sys
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from sqlmodel import Session, select

from app.bookings.models import Booking, BookingStatus, ChargePoint, ChargePointStatus, Connector, Vehicle
from app.catalog.models import Book, Category, Review
from app.demo.accounts import ACCOUNTS, PASSWORD, open_accounts
from app.orders.models import Order, OrderStatus
from app.orders.service import add_to_cart, place_order
from rowhouse import Database, Environment, Settings, UnitOfWork, User, hash_password, now

DATA = Path(__file__).parent
REVIEWS = (
    (5, "Read it in one night, and again in the morning."),
    (4, "Slow to begin with; then I missed my stop."),
    (3, "The middle could be shorter."),
    (5, None),
)


class NotDevelopmentError(Exception):
    """The demo is stored in development only."""


def seed(settings: Settings) -> bool:
    """Store the demo in one transaction. Return False, and store nothing, if the database has accounts.

    Raises:
        NotDevelopmentError: outside development, whatever the database holds.
    """
    if settings.environment is not Environment.DEVELOPMENT:
        raise NotDevelopmentError(f"The demo is stored in development only; ENVIRONMENT is {settings.environment}.")
    database = Database(settings)
    with UnitOfWork(database, write=True) as unit:
        fresh = unit.session.exec(select(User.id).limit(1)).first() is None
        if fresh:
            _fill(unit.session, settings)
    database.dispose()
    return fresh


def _fill(session: Session, settings: Settings) -> None:
    hashed = hash_password(PASSWORD, cost=settings.bcrypt_cost)
    users = [User(email=e, full_name=n, role=r, hashed_password=hashed) for e, n, r in ACCOUNTS]
    session.add_all([*users, *_charge_points()])
    categories = {
        row["name"]: Category(name=row["name"], description=row["description"]) for row in _rows("categories.csv")
    }
    session.add_all(categories.values())
    session.flush()
    session.add_all(_books({name: category.id or 0 for name, category in categories.items()}))
    _add_bookings(session, driver_id=users[1].id or 0)
    _add_reviews(session, [user.id or 0 for user in users[1:]])
    _add_orders(session, customer_id=users[3].id or 0)


def _rows(name: str) -> list[dict[str, str]]:
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _books(category_ids: dict[str, int]) -> list[Book]:
    return [
        Book(
            title=row["title"],
            author=row["author"],
            description=row["description"],
            price=Decimal(row["price"]),
            stock=int(row["stock"]),
            category_id=category_ids[row["category"]],
            cover_image=row["cover_image"] or None,
        )
        for row in _rows("books.csv")
    ]


def _charge_points() -> list[ChargePoint]:
    return [
        ChargePoint(
            code=row["code"],
            name=row["name"],
            latitude=float(row["latitude"]),
            longitude=float(row["longitude"]),
            connector=Connector(row["connector"]),
            power_kw=Decimal(row["power_kw"]),
            price_per_kwh=Decimal(row["price_per_kwh"]),
            status=ChargePointStatus(row["status"]),
        )
        for row in _rows("charge_points.csv")
    ]


def _add_bookings(session: Session, *, driver_id: int) -> None:
    """Add a car, and a confirmed booking on each of the next three days at the first charge point that fits the car."""
    vehicle = Vehicle(driver_id=driver_id, plate="B-RH 2026", connector=Connector.CCS)
    session.add(vehicle)
    session.flush()
    fitting = select(ChargePoint).where(
        ChargePoint.connector == Connector.CCS, ChargePoint.status == ChargePointStatus.AVAILABLE
    )
    charge_point = session.exec(fitting.order_by("id").limit(1)).one()
    noon = now().replace(hour=12, minute=0, second=0, microsecond=0)
    for day in (1, 2, 3):
        start = noon + timedelta(days=day)
        booking = Booking(
            charge_point_id=charge_point.id or 0,
            driver_id=driver_id,
            vehicle_id=vehicle.id,
            start_time=start,
            end_time=start + timedelta(minutes=45),
            status=BookingStatus.CONFIRMED,
            hold_expires_at=start,
        )
        session.add(booking)
    session.flush()


def _add_reviews(session: Session, author_ids: list[int]) -> None:
    """Add a review by each author to some of the first books."""
    books = session.exec(select(Book.id).order_by("id").limit(len(REVIEWS) * len(author_ids))).all()
    for position, book_id in enumerate(books):
        rating, comment = REVIEWS[position % len(REVIEWS)]
        author_id = author_ids[position % len(author_ids)]
        session.add(Review(author_id=author_id, book_id=book_id or 0, rating=rating, comment=comment))
    session.flush()


def _add_orders(session: Session, *, customer_id: int) -> None:
    """Add a delivered, a shipped and a placed order of two books each, and two books in the cart."""
    books = session.exec(select(Book.id).where(Book.stock > 1).order_by("id").limit(8)).all()
    pairs = [books[position : position + 2] for position in range(0, len(books), 2)]
    states = (OrderStatus.DELIVERED, OrderStatus.SHIPPED, OrderStatus.PLACED, None)
    for pair, status in zip(pairs, states, strict=True):
        for quantity, book_id in enumerate(pair, start=1):
            add_to_cart(session, customer_id, book_id or 0, quantity)
        if status is not None:
            placed = place_order(session, customer_id)
            session.get_one(Order, placed["id"]).status = status
            session.flush()


def logins(settings: Settings) -> list[str]:
    """Return one line for each demo login that works: its account is stored and has the demo password."""
    database = Database(settings)
    with UnitOfWork(database, write=False) as unit:
        found = open_accounts(unit)
    database.dispose()
    return [f"    {role:<8} {email:<28} password: {PASSWORD}" for email, _name, role in ACCOUNTS if email in found]


def main(arguments: Sequence[str]) -> int:
    """Store the demo if the database has no accounts, and print the demo logins that work."""
    parser = argparse.ArgumentParser(prog="python -m app.demo.seed", description=__doc__.partition("\n")[0])
    parser.add_argument("--start", action="store_true", help="before a start: exit with 0 outside development")
    is_start, settings = parser.parse_args(arguments).start, Settings()
    try:
        stored = seed(settings)
    except NotDevelopmentError as error:
        sys.stderr.write(f"{error}\n")
        return 0 if is_start else 1
    text = ["Demo data stored." if stored else "The database has accounts already; no demo data was stored."]
    lines = logins(settings)
    if lines:
        text += ["Demo logins:", *lines]
    sys.stdout.write("\n".join(text) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
