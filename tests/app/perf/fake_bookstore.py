"""A bookshop in memory, for tests of the comparison."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jwt
import psutil

from perf.app.compare.targets import BookServer, BookTarget
from perf.app.datasets.benchmark_rows import _book as filled_book
from perf.harness.servers import JWT_SECRET

BOOKS = 500


class FakeBookstore:
    """A bookshop without a server. It responds like the floor, except for its `fault`."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.books = {number: _json_of(filled_book(number)) for number in range(1, BOOKS + 1)}

    def respond(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Return the status and the JSON of the response."""
        place, *key = urlsplit(path).path.strip("/").split("/")
        if place == "me-books" and self.fault != "accepts any token":
            try:
                jwt.decode(headers["authorization"].removeprefix("Bearer "), JWT_SECRET, algorithms=["HS256"])
            except jwt.InvalidTokenError:
                return 401, {}
        if method == "POST":
            self.books[BOOKS + 1] = {**_json_of(filled_book(BOOKS + 1)), **json.loads(body or "")}
        if method == "PATCH" and self.fault != "ignores updates":
            self.books[int(key[0])] |= json.loads(body or "")
        if method == "POST" or key:
            return 200, self.books[int(key[0]) if key else BOOKS + 1]
        return 200, self._page(parse_qs(urlsplit(path).query))

    def _page(self, query: Mapping[str, list[str]]) -> Mapping[str, Any]:
        found = list(self.books.values())
        if "min_price" in query and self.fault != "ignores filters":
            least, most = float(query["min_price"][0]), float(query["max_price"][0])
            found = [book for book in found if least <= float(book["price"]) <= most]
        if "sort" in query and self.fault != "ignores sorting":
            found.sort(key=lambda book: -float(book["price"]))
        size, page = int(query["size"][0]), int(query["page"][0])
        shown = found[(page - 1) * size : page * size]
        if self.fault == "lacks a member":
            shown = [{name: value for name, value in book.items() if name != "cover_image"} for book in shown]
        return {"items": shown, "total": None if self.fault == "lacks the total" else len(found)}


def _json_of(book: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: f"{value}" if name in {"price", "created_at", "updated_at"} else value for name, value in book.items()
    }


def server_of(target: BookTarget) -> BookServer:
    """Return a server that is not running."""
    return BookServer(target=target, port=1, database_url="sqlite:///data.db", process=psutil.Process())
