"""The floor: the same bookshop with as little code as possible in Python, to show what a framework costs.

It is a bare ASGI application without a framework or an ORM. It prepares each statement once per connection, PostgreSQL
builds the JSON, and threads with one connection each run statements with one blocking libpq call. It validates bodies
with pydantic and checks tokens with PyJWT; the statement loads the user's row too. It does the same work as Rowhouse:
it uses Rowhouse's tables, and writing needs an administrator. Unlike the other rivals it is tuned. It is no way to
write a product.
"""

import asyncio
import os
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from decimal import Decimal
from http import HTTPStatus
from queue import SimpleQueue
from typing import Any
from urllib.parse import parse_qsl

import jwt
import psycopg
from psycopg import pq
from pydantic import BaseModel, Field, ValidationError
from starlette.types import Receive, Scope, Send

THREADS = 16
GET = "SELECT to_json(books) FROM books WHERE id = $1"
GET_SIGNED_IN = "SELECT is_active, to_json(books) FROM users LEFT JOIN books ON books.id = $2 WHERE users.id = $1"
# No row is returned if $1 is no administrator, or there is no such book.
CREATE = """
INSERT INTO books ({names}, created_at, updated_at)
SELECT {values}, now(), now() FROM users WHERE users.id = $1 AND is_active AND role = 'admin' RETURNING to_json(books)
"""
UPDATE = """
UPDATE books SET {changes}, updated_at = now() FROM users
WHERE books.id = $2 AND users.id = $1 AND is_active AND role = 'admin' RETURNING to_json(books)
"""
PAGE = """
SELECT json_agg(page), (SELECT count(*) FROM books{where})
FROM (SELECT * FROM books{where} ORDER BY {order} LIMIT $1 OFFSET $2) AS page
"""
FILTERS = {"category_id": "category_id = ${}", "min_price": "price >= ${}", "max_price": "price <= ${}"}
ORDERS = {"id": "id", "-price": "price DESC, id"}
MAX_ROWS = 100
JSON = (b"content-type", b"application/json")
Row = Sequence[bytes | None]


class BookUpdate(BaseModel, extra="forbid"):
    """The body of PATCH."""

    title: str = Field(default="", min_length=1, max_length=255)
    author: str = Field(default="", min_length=1, max_length=255)
    description: str | None = None
    price: Decimal = Field(default=Decimal(1), gt=0, max_digits=10, decimal_places=2)
    stock: int = Field(default=0, ge=0, lt=2**31)
    category_id: int | None = Field(default=None, ge=1, lt=2**31)
    cover_image: str | None = None


class BookCreate(BookUpdate):
    """The body of POST."""

    title: str = Field(min_length=1, max_length=255)
    author: str = Field(min_length=1, max_length=255)
    price: Decimal = Field(gt=0, max_digits=10, decimal_places=2)


class RefusedError(Exception):
    """The response is `status` without details."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class ThreadPool:
    """Threads with a connection each. One wake-up of the event loop delivers all results that are ready."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._loop = asyncio.get_running_loop()
        self._queue: SimpleQueue[tuple[asyncio.Future[Row | None], str, Sequence[bytes | None]]] = SimpleQueue()
        self._done: deque[tuple[asyncio.Future[Row | None], Row | Exception | None]] = deque()
        self._is_waking = False
        for _ in range(THREADS):
            threading.Thread(target=self._work, daemon=True).start()

    def run(self, text: str, values: Sequence[bytes | None]) -> asyncio.Future[Row | None]:
        """Run a statement and return its first row."""
        future: asyncio.Future[Row | None] = self._loop.create_future()
        self._queue.put((future, text, values))
        return future

    def _work(self) -> None:
        connection = psycopg.connect(self._database_url, autocommit=True).pgconn
        names: dict[str, bytes] = {}
        while True:
            future, text, values = self._queue.get()
            name = names.get(text)
            if name is None:
                name = names[text] = b"s%d" % len(names)
                connection.prepare(name, text.encode())
            # None is null, which psycopg's stub does not know.
            result = connection.exec_prepared(name, values)  # type: ignore[arg-type]  # as above
            self._done.append((future, _first_row(result)))
            if not self._is_waking:
                self._is_waking = True
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._is_waking = False
        while self._done:
            future, outcome = self._done.popleft()
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def _first_row(result: pq.abc.PGresult) -> Row | Exception | None:
    if result.status != pq.ExecStatus.TUPLES_OK:
        return RefusedError(HTTPStatus.CONFLICT)
    return [result.get_value(0, column) for column in range(result.nfields)] if result.ntuples else None


class Floor:
    """The ASGI application."""

    def __init__(self, database_url: str, jwt_secret: str) -> None:
        self._database_url = database_url
        self._jwt_secret = jwt_secret
        self._pool: ThreadPool

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await receive()
            self._pool = ThreadPool(self._database_url)
            await send({"type": "lifespan.startup.complete"})
            return
        try:
            status, body = await self._respond(scope, receive)
        except RefusedError as error:
            status, body = error.status, b'{"detail":"refused"}'
        except (ValidationError, ValueError):
            status, body = HTTPStatus.UNPROCESSABLE_ENTITY, b'{"detail":"malformed"}'
        headers = [JSON, (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _respond(self, scope: Scope, receive: Receive) -> tuple[int, bytes]:
        _, place, *key = scope["path"].split("/")
        match scope["method"], place, key:
            case "GET", "books", [key]:
                return 200, await self._one(GET, [b"%d" % int(key)])
            case "GET", "books", []:
                return 200, await self._page(dict(parse_qsl(scope["query_string"].decode())))
            case "GET", "me-books", [key]:
                return 200, await self._one(GET_SIGNED_IN, [self._subject(scope), b"%d" % int(key)])
            case "POST", "books", []:
                return 201, await self._create(
                    self._subject(scope), BookCreate.model_validate_json(await _body(receive))
                )
            case "PATCH", "books", [key]:
                book = BookUpdate.model_validate_json(await _body(receive))
                return 200, await self._update(self._subject(scope), int(key), book)
            case _:
                raise RefusedError(HTTPStatus.NOT_FOUND)

    async def _one(self, text: str, values: Sequence[bytes | None]) -> bytes:
        """Return the book, the last column. In a signed-in get, the first column says whether the user is active."""
        row = await self._pool.run(text, values)
        if text is GET_SIGNED_IN and (row is None or row[0] != b"t"):
            raise RefusedError(HTTPStatus.UNAUTHORIZED)
        if row is None or row[-1] is None:
            raise RefusedError(HTTPStatus.NOT_FOUND)
        return row[-1]

    async def _page(self, query: Mapping[str, str]) -> bytes:
        page, size = int(query.get("page", "1")), int(query.get("size", "50"))
        order = ORDERS.get(query.get("sort", "id"))
        if page < 1 or not 1 <= size <= MAX_ROWS or order is None or query.keys() - {"page", "size", "sort", *FILTERS}:
            raise RefusedError(HTTPStatus.UNPROCESSABLE_ENTITY)
        chosen = [name for name in FILTERS if name in query]
        where = " AND ".join(FILTERS[name].format(number) for number, name in enumerate(chosen, 3))
        text = PAGE.format(where=where and f" WHERE {where}", order=order)
        values = [b"%d" % size, b"%d" % ((page - 1) * size), *(str(Decimal(query[name])).encode() for name in chosen)]
        items, total = await self._pool.run(text, values) or (None, b"0")
        members = b'{"items":%b,"total":%b,"page":%d,"size":%d,"pages":%d}'
        return members % (items or b"[]", total or b"0", page, size, -(-int(total or 0) // size))

    async def _create(self, caller: bytes, book: BookCreate) -> bytes:
        names = list(BookCreate.model_fields)
        places = (f"${number}" for number in range(2, len(names) + 2))
        text = CREATE.format(names=", ".join(names), values=", ".join(places))
        return await self._one(text, [caller, *(_text(book.__dict__[name]) for name in names)])

    async def _update(self, caller: bytes, key: int, book: BookUpdate) -> bytes:
        names = sorted(book.model_fields_set)
        if not names:
            raise RefusedError(HTTPStatus.BAD_REQUEST)
        changes = ", ".join(f"{name} = ${number}" for number, name in enumerate(names, 3))
        values = [caller, b"%d" % key, *(_text(book.__dict__[name]) for name in names)]
        return await self._one(UPDATE.format(changes=changes), values)

    def _subject(self, scope: Scope) -> bytes:
        """Return the id of the user in the token."""
        for name, value in scope["headers"]:
            if name == b"authorization":
                try:
                    claims: dict[str, Any] = jwt.decode(value[7:], self._jwt_secret, algorithms=["HS256"])
                except jwt.InvalidTokenError:
                    break
                return b"%d" % int(claims["sub"])
        raise RefusedError(HTTPStatus.UNAUTHORIZED)


def _text(value: object) -> bytes | None:
    return None if value is None else str(value).encode()


async def _body(receive: Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        part: bytes = message.get("body", b"")
        body += part
        if not message.get("more_body", False):
            return body


def create_app() -> Floor:
    """Return the application. Reads DATABASE_URL and JWT_SECRET."""
    return Floor(os.environ["DATABASE_URL"].replace("postgresql+psycopg:", "postgresql:"), os.environ["JWT_SECRET"])
