"""Fill the product's PostgreSQL for a load run: a number of books, and rows of the other tables in proportion.

PostgreSQL generates the rows (generate_series) in chunks, with progress on standard error. Search indexes are dropped
before and created after, which is ten times as fast. A word of a title or a comment occurs in about one of fifty rows.
The generated accounts cannot sign in. The database must be empty and migrated. `benchmark_rows` has the few rows of the
benchmarks.
"""

import sys
from dataclasses import dataclass

import psycopg
from sqlalchemy import make_url

CHUNK_ROWS = 100_000
MIN_ROWS = 20
WORDS_PER_KIND = 48
QUALITIES = (
    "silent golden hidden broken northern crimson paper winter second distant burning quiet empty glass salted "
    "former tender bitter narrow wooden copper velvet stolen frozen sunken ancient crooked gentle hollow ivory "
    "jealous kindred lonely marble noble orphaned painted restless scarlet tangled unseen violet wandering "
    "yellow ashen brazen clever dusty"
)
THINGS = (
    "house river garden letter mountain orchard library harbour mirror bridge forest kitchen window journey "
    "island clock tower ballad carnival daughter engine fable glacier horizon inventor jester kingdom lantern "
    "meadow notebook oracle pilgrim quarry ribbon shepherd thimble umbrella voyage whisper almanac beacon "
    "cathedral dialect echo furnace granary heron inkwell"
)
TOWNS = (
    "Vienna Prague Lisbon Bergen Riga Turin Seville Ghent Graz Porto Lyon Cork Basel Bremen Gdansk Zagreb Oslo "
    "Malmo Tartu Vilnius Krakow Trieste Bologna Verona Parma Nantes Rouen Dijon Bruges Utrecht Leiden Aarhus "
    "Odense Uppsala Turku Tampere Szeged Pecs Brno Olomouc Maribor Split Zadar Patras Cadiz Malaga Braga Evora"
)
KINDS = (QUALITIES.split(), THINGS.split(), TOWNS.split())
# The indexes that are dropped and created again; rowhouse.entities.search_index says how a migration creates them.
SEARCH_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE strpos(indexdef, 'rowhouse_grams(') > 0"


def _word(kind: int) -> str:
    """Return SQL for a word of row `n`. Words of several kinds occur in every combination."""
    words = "{" + ",".join(KINDS[kind]) + "}"
    return f"('{words}'::text[])[1 + n / {WORDS_PER_KIND**kind} % {WORDS_PER_KIND}]".replace("{", "{{").replace(
        "}", "}}"
    )


@dataclass(frozen=True, slots=True)
class TableRows:
    """The generated rows of one table: how many per 1,000 books, their maximum, and the SQL of row `n`."""

    name: str
    per_thousand: int
    columns: str
    values: str
    max_rows: int = 2**31 - 1

    def rows(self, books: int) -> int:
        """Return its number of rows beside this number of books."""
        return min(max(MIN_ROWS, books * self.per_thousand // 1000), self.max_rows)


# `{name}` is the number of rows of another table, whose keys are 1 to that number. Later tables refer to earlier ones.
TABLES = (
    TableRows(
        "users",
        100,
        "email, full_name, role, is_active, hashed_password, token_version",
        "'reader-' || n || '@example.org', 'Reader ' || n, (CASE WHEN n % 5 = 0 THEN 'driver' ELSE 'user' END), true, "
        "'nobody', 0",
    ),
    TableRows("categories", 1, "name, description", "'Shelf ' || n, 'Books of kind ' || n", 1000),
    TableRows(
        "books",
        1000,
        "title, author, description, price, stock, category_id, cover_image",
        f"initcap({_word(0)}) || ' ' || {_word(1)} || ' of ' || {_word(2)} || ' ' || n, 'Author ' || n % 50000, "
        "'How the people behind door ' || n || ' came to live there.', "
        "(500 + n % 4500) / 100.0, 50 + n % 50, 1 + n % {categories}, 'https://covers.example.com/' || n || '.jpg'",
    ),
    TableRows(
        "reviews",
        300,
        "author_id, book_id, rating, comment",
        "1 + n % {users}, 1 + n % {books}, 1 + n % 5, "
        f"'A ' || {_word(0)} || ' ' || {_word(1)} || ', read ' || n % 7 || ' times'",
    ),
    TableRows("cart_items", 20, "user_id, book_id, quantity", "1 + n % {users}, 1 + n % {books}, 1 + n % 3"),
    TableRows("orders", 100, "customer_id, status, total", "1 + n % {users}, 'delivered', 20"),
    TableRows(
        "order_lines",
        100,
        "order_id, book_id, title, unit_price, quantity",
        "n, 1 + n % {books}, 'The house with number ' || 1 + n % {books}, 10, 2",
    ),
    TableRows(
        "charge_points",
        10,
        "code, name, latitude, longitude, connector, power_kw, price_per_kwh, status",
        "'CP-' || n, 'At the corner of street ' || n, 47 + n % 700 / 100.0, 6 + n % 900 / 100.0, "
        "'ccs', 50, 0.49, 'available'",
    ),
    TableRows("vehicles", 20, "driver_id, plate, connector", "1 + n % {users}, 'RH-' || n, 'ccs'"),
    TableRows(
        "bookings",
        100,
        "charge_point_id, driver_id, start_time, end_time, status, hold_expires_at",
        # The bookings of a charge point follow one another in the past.
        "1 + n % {charge_points}, 1 + n % {users}, now() - interval '2 hours' * (1 + n / {charge_points}), "
        "now() - interval '2 hours' * (1 + n / {charge_points}) + interval '1 hour', 'COMPLETED', now()",
    ),
)


def populate(database_url: str, books: int) -> None:
    """Fill every table, and update the statistics of PostgreSQL's planner."""
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    sizes = {table.name: table.rows(books) for table in TABLES}
    sizes["books"] = books
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        indexes = connection.execute(SEARCH_INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        for table in TABLES:
            _fill(connection, table, sizes)
        connection.execute("SET maintenance_work_mem = '256MB'")
        for name, definition in indexes:
            print(f"{name} ...", file=sys.stderr)
            connection.execute(definition)
            connection.execute(f"ALTER INDEX {name} ALTER COLUMN 1 SET STATISTICS 0".encode())
        print("vacuuming and analysing ...", file=sys.stderr)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")  # so that PostgreSQL does not write these pages while the load is measured


def _fill(connection: psycopg.Connection, table: TableRows, sizes: dict[str, int]) -> None:
    rows = sizes[table.name]
    for first in range(1, rows + 1, CHUNK_ROWS):
        last = min(first + CHUNK_ROWS - 1, rows)
        statement = (
            f"INSERT INTO {table.name} ({table.columns}, created_at, updated_at) "  # noqa: S608  words of this module
            f"SELECT {table.values.format(**sizes)}, now(), now() FROM generate_series({first}, {last}) AS n"
        )
        connection.execute(statement.encode())
        print(f"{table.name}: {last} of {rows}", file=sys.stderr)
