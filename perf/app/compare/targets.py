"""The applications that are compared, as data: how each is started, and where its books are.

Add an application with one more entry in `TARGETS`. Nothing here starts or measures anything.
"""

from argparse import ArgumentTypeError
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path

from perf.harness.servers import Server
from perf.harness.target import MIGRATE, Target

FACTORY = "app.main:create_app"
# The factory of checkouts in which engine and product were one package, `backend`.
FORMER_FACTORY = "backend.main:create_app"


@dataclass(frozen=True, kw_only=True)
class BookTarget(Target):
    """One bookshop under measurement. Paths are from the root.

    - `page_query` selects a page. `order_query` sorts a plain page by id, `found_query` filters and sorts a filtered
      one.
    - Without `login_path` the benchmark signs a token for the user with id 1 itself, with JWT_SECRET. `login_name` and
      `token_key` are the names of the e-mail and the token at login.
    - `refusal` is the status for a forged token.
    - `id_digits` is the length of ids that are text, padded with zeros; 0 for integers.
    - `extra_members` are members of a book that only this application has. They are not compared.
    - `is_embedded` means that it gets a SQLite file instead of PostgreSQL.
    """

    books_path: str
    secured_books_path: str
    page_query: str = "page={page}&size={size}"
    order_query: str = ""
    found_query: str = "category_id={category_id}&min_price={least}&max_price={most}&sort=-price"
    items_key: str = "items"
    total_key: str = "total"
    login_path: str | None = None
    login_name: str = "username"
    token_key: str = "access_token"  # noqa: S105  # the name of a member
    refusal: HTTPStatus = HTTPStatus.UNAUTHORIZED
    id_digits: int = 0
    extra_members: tuple[str, ...] = ()
    are_writes_secured: bool = False
    is_embedded: bool = False

    def id_of(self, number: int) -> int | str:
        """Return the id of the row with this number."""
        return str(number).zfill(self.id_digits) if self.id_digits else number


BookServer = Server[BookTarget]

ROWHOUSE = BookTarget(
    name="rowhouse",
    factory=FACTORY,
    books_path="/api/v1/books",
    secured_books_path="/api/v1/books",
    migrate_command=MIGRATE,
    login_path="/api/v1/auth/login",
    are_writes_secured=True,
)

EMBEDDED = replace(ROWHOUSE, name="rowhouse-sqlite", is_embedded=True)
# Measured if it is named: what the metrics cost.
WITHOUT_METRICS = replace(ROWHOUSE, name="without-metrics", environment={"METRICS": "false"})

TEXTBOOK = BookTarget(
    name="textbook",
    factory="perf.app.compare.rivals.textbook:create_app",
    books_path="/books",
    secured_books_path="/me-books",
)

# Without `sort` FastCRUD pages over an unordered select, which no client could use.
FASTCRUD = BookTarget(
    name="fastcrud",
    factory="perf.app.compare.rivals.fastcrud_app:create_app",
    books_path="/books",
    secured_books_path="/me-books",
    page_query="page={page}&itemsPerPage={size}",
    order_query="sort=id",
    found_query="category_id={category_id}&price__gte={least}&price__lte={most}&sort=-price,id",
    items_key="data",
    total_key="total_count",
)

# Its pages are `currentPage` and `pageSize`.
LITESTAR = BookTarget(
    name="litestar",
    factory="perf.app.compare.rivals.litestar_app:create_app",
    books_path="/books",
    secured_books_path="/me-books",
    page_query="currentPage={page}&pageSize={size}",
    order_query="orderBy=id&sortOrder=asc",
    found_query="category_id={category_id}&min_price={least}&max_price={most}&orderBy=price&sortOrder=desc",
)

BOLT = BookTarget(
    name="django-bolt",
    own_server=("django", "runbolt", "--no-admin"),
    migrate_command=("django", "migrate", "--run-syncdb"),
    environment={"DJANGO_SETTINGS_MODULE": "perf.app.compare.rivals.bolt.settings"},
    books_path="/books",
    secured_books_path="/me-books",
    found_query="category_id={category_id}&min_price={least}&max_price={most}&order=-price,id",
)

# It uses the tables of Rowhouse, so PostgreSQL does the same work except for the statements.
FLOOR = BookTarget(
    name="floor",
    factory="perf.app.compare.rivals.floor:create_app",
    books_path="/books",
    secured_books_path="/me-books",
    migrate_command=ROWHOUSE.migrate_command,
    are_writes_secured=True,
)

STANDARD = (TEXTBOOK, FASTCRUD, FLOOR, ROWHOUSE, EMBEDDED)
TARGETS = {target.name: target for target in (*STANDARD, WITHOUT_METRICS, LITESTAR, BOLT)}


def before(directory: str) -> BookTarget:
    """Return Rowhouse in another checkout, also one from before the engine became the package `rowhouse`.

    Raises:
        ArgumentTypeError: the directory is no checkout of Rowhouse.
    """
    checkout = Path(directory).resolve()
    factories = {"backend/app/main.py": FACTORY, "backend/main.py": FORMER_FACTORY}
    for path, factory in factories.items():
        if (checkout / path).is_file():
            return replace(ROWHOUSE, name="before", factory=factory, directory=checkout)
    raise ArgumentTypeError(f"{directory} is no checkout of Rowhouse: it has none of {', '.join(factories)}")


def parse_targets(names: str) -> list[BookTarget]:
    """Return the applications of a comma-separated list of names.

    Raises:
        ArgumentTypeError: for a name that is not in `TARGETS`.
    """
    unknown = [name for name in names.split(",") if name not in TARGETS]
    if unknown:
        raise ArgumentTypeError(f"unknown application {unknown}; there are {sorted(TARGETS)}")
    return [TARGETS[name] for name in names.split(",")]
