"""Both databases reject two overlapping live bookings of one charge point, also from plain SQL on the driver.

PostgreSQL has an exclusion constraint, SQLite two triggers. The error of both is `ex_bookings_slot`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url

from app.bookings.models import LIVE, BookingStatus
from tests.migrations import schema

RULE = "ex_bookings_slot"
REFUSALS = (sqlite3.IntegrityError, psycopg.errors.ExclusionViolation)
CLOSED = tuple(status for status in BookingStatus if status not in LIVE)
STAMP = "'2030-01-01 00:00:00.000000'"
# Half-open intervals beside 10:00-12:00, by their hours.
OVERLAPS = (("10", "12"), ("09", "11"), ("11", "13"), ("10", "11"), ("11", "12"), ("09", "13"))
FREE = (("08", "10"), ("12", "14"), ("06", "07"), ("20", "21"))


POINT = {
    "name": "'P'", "latitude": "0", "longitude": "0", "connector": "'ccs'",
    "power_kw": "50", "price_per_kwh": "1", "status": "'available'",
}  # fmt: skip
DRIVER = {
    "email": "'a@b.c'", "full_name": "'A'", "role": "'driver'", "is_active": "TRUE",
    "hashed_password": "''", "token_version": "0",
}  # fmt: skip
Hours = tuple[str, str]


def hour(text: str) -> str:
    """An hour of one day as a literal that both databases store alike."""
    return f"'2030-05-01 {text}:00:00.000000'"


class Bookings:
    """The table of bookings by plain SQL, on the driver's own connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.points = [self._insert("charge_points", {**POINT, "code": code})[0] for code in ("'A'", "'B'")]
        self._driver = self._insert("users", DRIVER)[0]

    def add(self, *intervals: Hours, status: str = "PENDING", point: int = 0) -> int:
        """Insert bookings in one statement and give the first one's id."""
        common = {
            "charge_point_id": str(self.points[point]),
            "driver_id": str(self._driver),
            "status": f"'{status}'",
            "hold_expires_at": STAMP,
        }
        rows = [{**common, "start_time": hour(start), "end_time": hour(end)} for start, end in intervals]
        return self._insert("bookings", *rows)[0]

    def change(self, row: int, assignments: str) -> None:
        """Update a booking."""
        self._connection.execute(f"UPDATE bookings SET {assignments} WHERE id = {row}")  # noqa: S608  made here

    def change_all(self, assignments: str) -> None:
        """Update every booking in one statement."""
        self._connection.execute(f"UPDATE bookings SET {assignments}")  # noqa: S608  made here

    def rows(self) -> list[Any]:
        """Every booking."""
        return list(self._connection.execute("SELECT * FROM bookings ORDER BY id").fetchall())

    @contextmanager
    def refused(self) -> Iterator[None]:
        """Expects the rule's own refusal, and every booking as it was."""
        before = self.rows()
        self._connection.execute("SAVEPOINT before_refusal")
        with pytest.raises(REFUSALS, match=RULE):
            yield
        self._connection.execute("ROLLBACK TO SAVEPOINT before_refusal")
        assert self.rows() == before

    def _insert(self, table: str, *rows: dict[str, str]) -> list[int]:
        names = ", ".join([*rows[0], "created_at", "updated_at"])
        values = ", ".join(f"({', '.join([*row.values(), STAMP, STAMP])})" for row in rows)
        source = f"INSERT INTO {table} ({names}) VALUES {values} RETURNING id"  # noqa: S608  made here
        return [int(row[0]) for row in self._connection.execute(source).fetchall()]


@pytest.fixture
def bookings(migrated_url: str) -> Iterator[Bookings]:
    """The table on a connection that knows nothing of the application; what the test writes is rolled back."""
    url = make_url(migrated_url)
    connection: Any
    if url.get_backend_name() == "sqlite":
        connection = sqlite3.connect(str(url.database), isolation_level=None)
    else:
        connection = psycopg.connect(f"dbname={url.database} user={url.username} host={url.query['host']}")
        connection.autocommit = True
    connection.execute("BEGIN")
    yield Bookings(connection)
    connection.execute("ROLLBACK")
    connection.close()


def test_the_rule_stands_in_the_catalogue(migrated: sa.Connection) -> None:
    """By its name and with the whole of its condition."""
    found = schema.guards(migrated)
    live = [f"'{status.value}'" for status in LIVE]
    if migrated.dialect.name == "postgresql":
        definition = found.pop(RULE)
        assert definition.startswith("EXCLUDE USING gist (")
        assert "(charge_point_id)::bigint, '[]'::text) WITH &&" in definition
        assert "tstzrange(start_time, end_time, '[)'::text) WITH &&" in definition
        assert definition.partition("WHERE")[2].count("::character varying,") == len(live) - 1
        assert all(status in definition.partition("WHERE")[2] for status in live)
    else:
        insert, update = found.pop(f"{RULE}_insert"), found.pop(f"{RULE}_update")
        assert "BEFORE INSERT ON bookings" in insert
        assert "BEFORE UPDATE OF charge_point_id, start_time, end_time, status ON bookings" in update
        for definition in (insert, update):
            assert definition.count(f"IN ({', '.join(live)})") == 2
            assert f"RAISE(ABORT, '{RULE}')" in definition
    assert found == {}


@pytest.mark.parametrize("hours", OVERLAPS)
@pytest.mark.parametrize("status", LIVE)
def test_an_overlapping_insert_is_refused(bookings: Bookings, status: str, hours: Hours) -> None:
    """Whichever way they overlap and whichever live status stands there."""
    bookings.add(("10", "12"), status=status)
    with bookings.refused():
        bookings.add(hours)


@pytest.mark.parametrize("status", LIVE)
def test_an_insert_of_any_live_status_is_refused(bookings: Bookings, status: str) -> None:
    """The new row's status decides as much as the stored one's."""
    bookings.add(("10", "12"))
    with bookings.refused():
        bookings.add(("11", "13"), status=status)


@pytest.mark.parametrize("hours", FREE)
def test_touching_and_distant_intervals_are_allowed(bookings: Bookings, hours: Hours) -> None:
    """Intervals are half-open: one may start when another ends."""
    bookings.add(("10", "12"))
    bookings.add(hours)
    assert len(bookings.rows()) == 2


def test_another_charge_point_is_free(bookings: Bookings) -> None:
    """The same time at two places is no conflict."""
    bookings.add(("10", "12"), point=0)
    bookings.add(("10", "12"), point=1)
    assert len(bookings.rows()) == 2


@pytest.mark.parametrize("status", CLOSED)
def test_closed_bookings_take_no_slot(bookings: Bookings, status: str) -> None:
    """A closed booking neither blocks nor is blocked."""
    bookings.add(("10", "12"), status=status)
    bookings.add(("10", "12"))
    bookings.add(("10", "12"), status=status)
    assert len(bookings.rows()) == 3


@pytest.mark.parametrize("hours", OVERLAPS)
def test_an_update_of_the_times_is_refused(bookings: Bookings, hours: Hours) -> None:
    """A moved booking is checked like a new one."""
    bookings.add(("10", "12"))
    row = bookings.add(("20", "21"))
    with bookings.refused():
        bookings.change(row, f"start_time = {hour(hours[0])}, end_time = {hour(hours[1])}")


def test_an_update_of_the_charge_point_is_refused(bookings: Bookings) -> None:
    """Moving to a place that is taken then."""
    bookings.add(("10", "12"), point=0)
    row = bookings.add(("11", "13"), point=1)
    with bookings.refused():
        bookings.change(row, f"charge_point_id = {bookings.points[0]}")


@pytest.mark.parametrize("status", LIVE)
def test_a_closed_booking_cannot_come_back_to_life(bookings: Bookings, status: str) -> None:
    """Its slot may have gone to another since."""
    row = bookings.add(("10", "12"), status="CANCELLED")
    bookings.add(("11", "13"))
    with bookings.refused():
        bookings.change(row, f"status = '{status}'")


def test_allowed_updates_pass(bookings: Bookings) -> None:
    """A booking does not stand in its own way, and may move to where it only touches another."""
    bookings.add(("10", "12"))
    row = bookings.add(("13", "15"))
    bookings.change(row, f"start_time = {hour('12')}")
    bookings.change(row, "status = 'CONFIRMED'")
    bookings.change(row, f"start_time = {hour('13')}, end_time = {hour('14')}")
    bookings.change(row, f"status = 'CANCELLED', start_time = {hour('10')}, end_time = {hour('12')}")
    assert len(bookings.rows()) == 2


def test_one_statement_cannot_insert_two_that_overlap(bookings: Bookings) -> None:
    """Each row of a statement is checked against those before it."""
    with bookings.refused():
        bookings.add(("10", "12"), ("11", "13"))
    assert bookings.rows() == []


def test_one_statement_cannot_move_two_onto_each_other(bookings: Bookings) -> None:
    """An update of many rows is checked row by row."""
    bookings.add(("10", "12"), ("14", "16"))
    with bookings.refused():
        bookings.change_all(f"start_time = {hour('10')}, end_time = {hour('16')}")
