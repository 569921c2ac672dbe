"""The applications that are compared, as data: how each is started and where its books are.

A further application is one more entry in `APPS`. Nothing here starts or measures anything.
"""

from argparse import ArgumentTypeError
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class App:
    """One application under measurement.

    Paths are from the root. `page_query` names a page, `order_query` what a plain one needs beside it to be in order of id, and
    `found_query` what selects and sorts the books of a filtered one. An application without `login_path` trusts a token that the benchmark
    signs itself with JWT_SECRET for the user with id 1; `login_name` and `token_key` are what the login of another calls the e-mail and the
    token. `refusal` is what a forged token is answered with. Where there are `id_digits`, an id is text: so many digits, with zeros first.
    `extra_members` are sent with each book beside its own, and not compared. `environment` is added to that of its process. An application
    without `factory` is no Python and is started in a way of its own. One that `is_embedded` gets a file of SQLite and not PostgreSQL.
    `directory` is the checkout that it runs in, where that is not this one.
    """

    name: str
    books_path: str
    secured_books_path: str
    factory: str = ""
    page_query: str = "page={page}&size={size}"
    order_query: str = ""
    found_query: str = "category_id={category_id}&min_price={least}&max_price={most}&sort=-price"
    items_key: str = "items"
    total_key: str = "total"
    migrate_command: tuple[str, ...] = ()
    login_path: str | None = None
    login_name: str = "username"
    token_key: str = "access_token"  # noqa: S105  # the member's name
    refusal: HTTPStatus = HTTPStatus.UNAUTHORIZED
    id_digits: int = 0
    extra_members: tuple[str, ...] = ()
    are_writes_secured: bool = False
    is_embedded: bool = False
    directory: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)

    @property
    def database_prefix(self) -> str:
        """The start of the name of its database; a random part follows."""
        return f"perf_{self.name}"

    def id_of(self, number: int) -> int | str:
        """The id of the row with this number."""
        return str(number).zfill(self.id_digits) if self.id_digits else number


ROWHOUSE = App(
    name="rowhouse",
    factory="app.main:create_app",
    books_path="/api/v1/books",
    secured_books_path="/api/v1/books",
    migrate_command=("alembic", "upgrade", "head"),
    login_path="/api/v1/auth/login",
    are_writes_secured=True,
)

EMBEDDED = replace(ROWHOUSE, name="rowhouse-sqlite", is_embedded=True)

TEXTBOOK = App(
    name="textbook",
    factory="perf.rivals.textbook:create_app",
    books_path="/books",
    secured_books_path="/me-books",
)

# Without `sort` FastCRUD pages over an unordered select, which is no page that a client could use.
FASTCRUD = App(
    name="fastcrud",
    factory="perf.rivals.fastcrud_app:create_app",
    books_path="/books",
    secured_books_path="/me-books",
    page_query="page={page}&itemsPerPage={size}",
    order_query="sort=id",
    found_query="category_id={category_id}&price__gte={least}&price__lte={most}&sort=-price,id",
    items_key="data",
    total_key="total_count",
)

# Rowhouse's own tables, so that what PostgreSQL does is the same but for the statements.
FLOOR = App(
    name="floor",
    factory="perf.rivals.floor:create_app",
    books_path="/books",
    secured_books_path="/me-books",
    migrate_command=ROWHOUSE.migrate_command,
    are_writes_secured=True,
)

APPS = {app.name: app for app in (TEXTBOOK, FASTCRUD, FLOOR, ROWHOUSE, EMBEDDED)}


def before(directory: str) -> App:
    """Rowhouse as another checkout has it."""
    return replace(ROWHOUSE, name="before", directory=Path(directory))


def parse_apps(names: str) -> list[App]:
    """The applications in a comma-separated list of names.

    Raises:
        ArgumentTypeError: for a name that is not in `APPS`.
    """
    unknown = [name for name in names.split(",") if name not in APPS]
    if unknown:
        raise ArgumentTypeError(f"unknown application {unknown}; there are {sorted(APPS)}")
    return [APPS[name] for name in names.split(",")]
