"""Fills Rowhouse's PostgreSQL to a size, past the application: so many books, and of the rest what goes with them.

PostgreSQL makes the rows itself (generate_series), in slices, with progress on standard error; search indexes are made anew when all are
there, which is ten times quicker. A word of a title or of a comment is in about one of fifty. Nobody can sign in as one of the people
made here. For an empty, migrated database; the benchmarks' own few rows are perf.fill's.
"""

import sys
from dataclasses import dataclass

import psycopg
from sqlalchemy import make_url

SLICE = 100_000
LEAST = 20
OF_A_KIND = 48
QUALITIES = (
    "silent golden hidden broken northern crimson paper winter second distant burning quiet empty glass salted former "
    "tender bitter narrow wooden copper velvet stolen frozen sunken ancient crooked gentle hollow ivory jealous kindred "
    "lonely marble noble orphaned painted restless scarlet tangled unseen violet wandering yellow ashen brazen clever "
    "dusty"
)
THINGS = (
    "house river garden letter mountain orchard library harbour mirror bridge forest kitchen window journey island clock "
    "tower ballad carnival daughter engine fable glacier horizon inventor jester kingdom lantern meadow notebook oracle "
    "pilgrim quarry ribbon shepherd thimble umbrella voyage whisper almanac beacon cathedral dialect echo furnace granary "
    "heron inkwell"
)
TOWNS = (
    "Vienna Prague Lisbon Bergen Riga Turin Seville Ghent Graz Porto Lyon Cork Basel Bremen Gdansk Zagreb Oslo Malmo Tartu "
    "Vilnius Krakow Trieste Bologna Verona Parma Nantes Rouen Dijon Bruges Utrecht Leiden Aarhus Odense Uppsala Turku "
    "Tampere Szeged Pecs Brno Olomouc Maribor Split Zadar Patras Cadiz Malaga Braga Evora"
)
KINDS = (QUALITIES.split(), THINGS.split(), TOWNS.split())
# The stored indexes that are dropped and made anew; as a migration makes them, see rowhouse.entities.search_index.
SEARCH_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE strpos(indexdef, 'rowhouse_trigrams(') > 0"


def _word(kind: int) -> str:
    """SQL for a word of row `n`; those of several kinds meet in every combination."""
    words = "{" + ",".join(KINDS[kind]) + "}"
    return f"('{words}'::text[])[1 + n / {OF_A_KIND**kind} % {OF_A_KIND}]".replace("{", "{{").replace("}", "}}")


@dataclass(frozen=True, slots=True)
class Filling:
    """One table: how many rows it has of 1,000 books, at most how many, and the select of row `n`."""

    table: str
    per_thousand: int
    columns: str
    values: str
    most: int = 2**31 - 1

    def rows(self, books: int) -> int:
        """How many rows it gets beside so many books."""
        return min(max(LEAST, books * self.per_thousand // 1000), self.most)


# `{name}` is the number of rows of another table, whose keys are 1 to that. Later ones refer to earlier ones.
FILLINGS = (
    Filling(
        "users",
        100,
        "email, full_name, role, is_active, hashed_password, token_version",
        "'reader-' || n || '@example.org', 'Reader ' || n, (CASE WHEN n % 5 = 0 THEN 'driver' ELSE 'user' END), true, 'nobody', 0",
    ),
    Filling("categories", 1, "name, description", "'Shelf ' || n, 'Books of kind ' || n", 1000),
    Filling(
        "books",
        1000,
        "title, author, description, price, stock, category_id, cover_image",
        f"initcap({_word(0)}) || ' ' || {_word(1)} || ' of ' || {_word(2)} || ' ' || n, 'Author ' || n % 50000, "
        "'How the people behind door ' || n || ' came to live there.', "
        "(500 + n % 4500) / 100.0, 50 + n % 50, 1 + n % {categories}, 'https://covers.example.com/' || n || '.jpg'",
    ),
    Filling(
        "reviews",
        300,
        "author_id, book_id, rating, comment",
        f"1 + n % {{users}}, 1 + n % {{books}}, 1 + n % 5, 'A ' || {_word(0)} || ' ' || {_word(1)} || ', read ' || n % 7 || ' times'",
    ),
    Filling("cart_items", 20, "user_id, book_id, quantity", "1 + n % {users}, 1 + n % {books}, 1 + n % 3"),
    Filling("orders", 100, "customer_id, status, total", "1 + n % {users}, 'delivered', 20"),
    Filling(
        "order_lines",
        100,
        "order_id, book_id, title, unit_price, quantity",
        "n, 1 + n % {books}, 'The house with number ' || 1 + n % {books}, 10, 2",
    ),
    Filling(
        "charge_points",
        10,
        "code, name, latitude, longitude, connector, power_kw, price_per_kwh, status",
        "'CP-' || n, 'At the corner of street ' || n, 47 + n % 700 / 100.0, 6 + n % 900 / 100.0, 'ccs', 50, 0.49, 'available'",
    ),
    Filling("vehicles", 20, "driver_id, plate, connector", "1 + n % {users}, 'RH-' || n, 'ccs'"),
    Filling(
        "bookings",
        100,
        "charge_point_id, driver_id, start_time, end_time, status, hold_expires_at",
        # Each charge point's lie one after another in the past.
        "1 + n % {charge_points}, 1 + n % {users}, now() - interval '2 hours' * (1 + n / {charge_points}), "
        "now() - interval '2 hours' * (1 + n / {charge_points}) + interval '1 hour', 'COMPLETED', now()",
    ),
)


def populate(database_url: str, *, books: int) -> None:
    """Fill every table, and have PostgreSQL's planner know them."""
    url = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
    sizes = {filling.table: filling.rows(books) for filling in FILLINGS}
    sizes["books"] = books
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        indexes = connection.execute(SEARCH_INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}".encode())
        for filling in FILLINGS:
            _fill(connection, filling, sizes)
        connection.execute("SET maintenance_work_mem = '256MB'")
        for name, definition in indexes:
            print(f"{name} ...", file=sys.stderr)
            connection.execute(definition)
            connection.execute(f"ALTER INDEX {name} ALTER COLUMN 1 SET STATISTICS 0".encode())
        print("vacuuming and analysing ...", file=sys.stderr)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")  # or the filling's pages would be written while the load is measured


def _fill(connection: psycopg.Connection, filling: Filling, sizes: dict[str, int]) -> None:
    rows = sizes[filling.table]
    for first in range(1, rows + 1, SLICE):
        last = min(first + SLICE - 1, rows)
        statement = (
            f"INSERT INTO {filling.table} ({filling.columns}, created_at, updated_at) "  # noqa: S608  words of this module
            f"SELECT {filling.values.format(**sizes)}, now(), now() FROM generate_series({first}, {last}) AS n"
        )
        connection.execute(statement.encode())
        print(f"{filling.table}: {last} of {rows}", file=sys.stderr)
