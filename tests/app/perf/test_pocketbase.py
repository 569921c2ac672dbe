"""PocketBase in the side-by-side benchmark, replaced by a fake: its requests, its start and its responses."""

import json
import re
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from perf.app.compare import equivalence_check
from perf.app.compare.equivalence_check import ResponseMismatchError, check_equivalence, sign_in
from perf.app.compare.rivals import pocketbase
from perf.app.compare.rivals.pocketbase import POCKETBASE, stored
from perf.app.compare.scenarios import Scenario, call
from perf.app.compare.targets import FLOOR, BookServer
from perf.app.datasets.benchmark_rows import _book as filled_book
from perf.harness.servers import ServerStartError
from tests.app.perf.fake_bookstore import BOOKS, FakeBookstore, server_of

RECORDS = "/api/collections/books/records"


@pytest.mark.parametrize(
    ("scenario", "path"),
    [
        (Scenario.GET, f"{RECORDS}/000000000000262"),
        (Scenario.GET_JWT, "/api/collections/me_books/records/000000000000262"),
        (Scenario.UPDATE, f"{RECORDS}/000000000000262"),
        (Scenario.CREATE, RECORDS),
        (Scenario.PAGE_20, f"{RECORDS}?page=2&perPage=20&sort=id"),
        (Scenario.PAGE_100, f"{RECORDS}?page=2&perPage=100&sort=id"),
    ],
)
def test_every_scenario_is_a_request_of_its_api(scenario: Scenario, path: str) -> None:
    """Ids are text of 15 digits. Only get-jwt has a token."""
    request = call(POCKETBASE, scenario, number=1, books=BOOKS, token="t")
    assert (request.path, request.token) == (path, "t" if scenario is Scenario.GET_JWT else "")
    if scenario is Scenario.CREATE:
        assert json.loads(request.body)["category_id"] == "000000000000001"


def test_a_filter_is_one_expression() -> None:
    """No character in it ends the parameter."""
    query = parse_qs(urlsplit(call(POCKETBASE, Scenario.FOUND_20, number=1, books=BOOKS, token="").path).query)
    assert query == {
        "page": ["2"],
        "perPage": ["20"],
        "filter": ["category_id='000000000000001' && price>=5 && price<=10"],
        "sort": ["-price,id"],
    }


class FakePocketBase(FakeBookstore):
    """The shop with the paths, ids, members and statuses of PocketBase."""

    def respond(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Return the status and the JSON of the response."""
        place, _, key = path.removeprefix("/api/collections/").partition("/records")
        if place == "users/auth-with-password":
            return (200, {"token": "t"}) if "identity" in parse_qs(body or "") else (400, {})
        if place == "me_books" and headers["authorization"] != "Bearer t":
            return 404, {}
        found = f"/books/{int(key[1:])}" if key.startswith("/") else f"/books?{self._query(parse_qs(key[1:]))}"
        sent = None if body is None else json.dumps({**json.loads(body), "category_id": 1})
        status, response = super().respond(method, found, sent, headers)
        if "items" not in response:
            return status, self._record(response)
        return status, {"items": [self._record(book) for book in response["items"]], "totalItems": response["total"]}

    def _query(self, query: Mapping[str, list[str]]) -> str:
        """Convert the parameters of a page to those of the shop, which sorts by id or by price."""
        bounds = re.findall(r"price([<>])=(\d+)", query.get("filter", [""])[0])
        prices = {"min_price" if sign == ">" else "max_price": value for sign, value in bounds}
        page = {"page": query["page"][0], "size": query["perPage"][0]} if "page" in query else {}
        return urlencode({**page, **prices, **({"sort": "-price"} if prices else {})})

    def _record(self, book: Mapping[str, Any]) -> dict[str, Any]:
        text = {name: str(book[name]).zfill(15) for name in ("id", "category_id")}
        return {**book, **text, "price": float(book["price"]), "collectionId": "pbc_1", "collectionName": "books"}


@pytest.mark.parametrize("fault", ["", "ignores sorting", "ignores updates"])
def test_its_responses_are_compared_by_value(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are compared as numbers and prices as decimals, without the members that only it has."""
    shops: dict[str, FakeBookstore] = {"floor": FakeBookstore(), "pocketbase": FakePocketBase(fault)}

    def request(
        server: BookServer, method: str, *, path: str, body: Any = None, headers: Any = None
    ) -> tuple[int, Any]:
        return shops[server.target.name].respond(method, path, body, headers or {})

    monkeypatch.setattr(equivalence_check, "_request", request)
    other = server_of(POCKETBASE)
    assert sign_in(other) == "t"
    if fault:
        with pytest.raises(ResponseMismatchError, match="pocketbase"):
            check_equivalence([server_of(FLOOR), other], books=BOOKS)
    else:
        check_equivalence([server_of(FLOOR), other], books=BOOKS)


def test_a_row_is_converted_to_its_storage_format() -> None:
    """Ids and instants are text, and SQLite has no decimals."""
    row = stored(filled_book(7))
    assert (row["id"], row["category_id"]) == ("000000000000007", "000000000000001")
    assert (row["stock"], row["price"]) == (7, 5.07)
    assert row["created_at"] == row["updated_at"] == "2026-01-01 00:00:07.000Z"


def program(directory: Path, command: str) -> Path:
    """Return a program that runs this command."""
    path = directory / "pocketbase"
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o755)
    return path


def test_it_is_started_with_collections_and_books(tmp_path: Path) -> None:
    """The books for signed-in users are the same ones. It uses no PostgreSQL."""
    with pocketbase.serve(program(tmp_path, f"{sys.executable} -m tests.app.perf.fake_pocketbase"), books=3) as started:
        data = Path(started.database_url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(data)) as connection:
            books = connection.execute("SELECT * FROM books").fetchall()
            secured = connection.execute("SELECT * FROM me_books").fetchall()
            bodies = [json.loads(body) for (body,) in connection.execute("SELECT body FROM requests")]
        assert started.cpu_seconds() > 0
    assert [row[0] for row in books] == ["000000000000001", "000000000000002", "000000000000003"]
    assert books == secured
    assert {body["name"]: body["viewRule"] for body in bodies if "fields" in body} == {
        "categories": "",
        "books": "",
        "me_books": '@request.auth.id != ""',
    }
    assert not started.is_on_postgresql
    assert not data.parent.exists()


def test_a_program_that_fails_to_start_is_an_error(tmp_path: Path) -> None:
    """The message has the output of the program."""
    failing = program(tmp_path, "echo no such thing; exit 1 #")
    with pytest.raises(ServerStartError, match="no such thing"), pocketbase.serve(failing, books=3):
        pytest.fail("it was started")
