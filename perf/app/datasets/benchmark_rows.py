"""Insert the same rows into the database of every compared application, with plain SQL.

The tables are reflected from the database, so the rows fit every schema: a column that an application does not have is
left out. Use it only on a database without rows worth keeping.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, Engine, MetaData, Table, create_engine, insert, text

FIRST_INSTANT = datetime(2026, 1, 1, tzinfo=UTC)
CATEGORY_ID = 1
USER_ID = 1
CHUNK_ROWS = 50_000
Row = Mapping[str, object]


def fill(database_url: str, *, books: int, with_user: bool, stored: Callable[[Row], Row] = lambda row: row) -> None:
    """Insert one category, `books` books with ids from 1, and optionally the user with id 1.

    `stored` converts a row for an application that stores values in another form than its column types.
    """
    with _engine(database_url) as engine:
        with engine.begin() as connection:
            _insert(connection, "categories", [stored(_category())])
            if with_user:
                _insert(connection, "users", [stored(_user())])
            for first in range(1, books + 1, CHUNK_ROWS):
                numbers = range(first, min(first + CHUNK_ROWS, books + 1))
                _insert(connection, "books", [stored(_book(number)) for number in numbers])
            _move_sequence(connection)
        _settle(engine)


def trim(database_url: str, *, last_id: int | str) -> None:
    """Delete the books that a run created, and the dead rows of its updates, so every run reads the same table."""
    with _engine(database_url) as engine:
        with engine.begin() as connection:
            connection.execute(text("DELETE FROM books WHERE id > :last_id"), {"last_id": last_id})
        _settle(engine)


@contextmanager
def _engine(database_url: str) -> Iterator[Engine]:
    engine = create_engine(database_url)
    try:
        yield engine
    finally:
        engine.dispose()


def _insert(connection: Connection, name: str, rows: list[Row]) -> None:
    table = Table(name, MetaData(), autoload_with=connection)
    known = set(table.columns.keys())
    connection.execute(insert(table), [{key: row[key] for key in row if key in known} for row in rows])


def _category() -> Row:
    return {"id": CATEGORY_ID, "name": "Novels", "created_at": FIRST_INSTANT, "updated_at": FIRST_INSTANT}


def _user() -> Row:
    return {
        "id": USER_ID,
        "email": "reader@example.com",
        "full_name": "Constant Reader",
        "hashed_password": "none: this user never signs in",
        "is_active": True,
        "role": "admin",
        "token_version": 0,
        "created_at": FIRST_INSTANT,
        "updated_at": FIRST_INSTANT,
    }


def _book(number: int) -> Row:
    instant = FIRST_INSTANT + timedelta(seconds=number)
    return {
        "id": number,
        "title": f"The house with number {number}",
        "author": f"Author {number % 500}",
        "description": f"How the people behind door {number} came to live there, and why they stayed.",
        "price": Decimal(500 + number % 4500) / 100,
        "stock": number % 100,
        "category_id": CATEGORY_ID,
        "cover_image": f"https://covers.example.com/{number}.jpg",
        "created_at": instant,
        "updated_at": instant,
    }


def _move_sequence(connection: Connection) -> None:
    """Move the PostgreSQL sequence past the inserted ids. SQLite continues after the highest id."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT setval(pg_get_serial_sequence('books', 'id'), (SELECT max(id) FROM books))"))


def _settle(engine: Engine) -> None:
    """Vacuum now, so that autovacuum does not run during the turn of one application only."""
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE books"))
