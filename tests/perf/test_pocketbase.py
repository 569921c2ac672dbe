"""PocketBase in the side-by-side bench, as far as that can be told without its program: what it is asked, given, and read as."""

import asyncio
import json
import re
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import psutil
import pytest
import uvloop

from perf.app.compare import equivalence_check
from perf.app.compare.targets import FLOOR
from perf.harness.client import HOST, Call, Outcome, _run
from perf.app.datasets.benchmark_rows import _book as filled_book
from perf.app.compare.equivalence_check import AnswerError, prove, sign_in
from perf.app.compare.rivals import pocketbase
from perf.app.compare.rivals.pocketbase import POCKETBASE, stored
from perf.app.compare.scenarios import Scenario, call
from perf.harness.servers import Server, ServerStartError
from tests.perf.test_beside import BOOKS, Shop, server

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
    """Ids are text of 15 digits; only get-jwt has a token."""
    asked = call(POCKETBASE, scenario, number=1, books=BOOKS, token="t")
    assert (asked.path, asked.token) == (path, "t" if scenario is Scenario.GET_JWT else "")
    if scenario is Scenario.CREATE:
        assert json.loads(asked.body)["category_id"] == "000000000000001"


def test_a_filter_is_one_expression() -> None:
    """Nothing in it ends the parameter."""
    query = parse_qs(urlsplit(call(POCKETBASE, Scenario.FOUND_20, number=1, books=BOOKS, token="").path).query)
    assert query == {
        "page": ["2"],
        "perPage": ["20"],
        "filter": ["category_id='000000000000001' && price>=5 && price<=10"],
        "sort": ["-price,id"],
    }


class Pocket(Shop):
    """The shop as PocketBase would tell of it: asked by its paths, with its ids, members and refusal."""

    def ask(self, method: str, path: str, body: str | None, headers: Mapping[str, str]) -> tuple[int, Any]:
        """The status and the answer."""
        place, _, key = path.removeprefix("/api/collections/").partition("/records")
        if place == "users/auth-with-password":
            return (200, {"token": "t"}) if "identity" in parse_qs(body or "") else (400, {})
        if place == "me_books" and headers["authorization"] != "Bearer t":
            return 404, {}
        found = f"/books/{int(key[1:])}" if key.startswith("/") else f"/books?{self._query(parse_qs(key[1:]))}"
        sent = None if body is None else json.dumps({**json.loads(body), "category_id": 1})
        status, answer = super().ask(method, found, sent, headers)
        if "items" not in answer:
            return status, self._record(answer)
        return status, {"items": [self._record(book) for book in answer["items"]], "totalItems": answer["total"]}

    def _query(self, query: Mapping[str, list[str]]) -> str:
        """What the shop calls the parameters of a page; it has no other order than that of ids but by price."""
        bounds = re.findall(r"price([<>])=(\d+)", query.get("filter", [""])[0])
        prices = {"min_price" if sign == ">" else "max_price": value for sign, value in bounds}
        page = {"page": query["page"][0], "size": query["perPage"][0]} if "page" in query else {}
        return urlencode({**page, **prices, **({"sort": "-price"} if prices else {})})

    def _record(self, book: Mapping[str, Any]) -> dict[str, Any]:
        text = {name: str(book[name]).zfill(15) for name in ("id", "category_id")}
        return {**book, **text, "price": float(book["price"]), "collectionId": "pbc_1", "collectionName": "books"}


@pytest.mark.parametrize("fault", ["", "unsorted", "forgetful"])
def test_its_answers_are_compared_with_those_of_the_others(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By value: its ids as numbers, its prices as decimals, and without the members that only it has."""
    shops: dict[str, Shop] = {"floor": Shop(), "pocketbase": Pocket(fault)}

    def ask(asked: Server, method: str, *, path: str, body: Any = None, headers: Any = None) -> tuple[int, Any]:
        return shops[asked.app.name].ask(method, path, body, headers or {})

    monkeypatch.setattr(proof, "_ask", ask)
    other = Server(app=POCKETBASE, port=1, database_url="sqlite:///data.db", process=psutil.Process())
    assert sign_in(other) == "t"
    if fault:
        with pytest.raises(AnswerError, match="pocketbase"):
            prove([server(FLOOR.name), other], books=BOOKS)
    else:
        prove([server(FLOOR.name), other], books=BOOKS)


def test_a_row_is_stored_as_it_writes_them_itself() -> None:
    """For its column of ids and instants are text, and SQLite has no decimals."""
    row = stored(filled_book(7))
    assert (row["id"], row["category_id"]) == ("000000000000007", "000000000000001")
    assert (row["stock"], row["price"]) == (7, 5.07)
    assert row["created_at"] == row["updated_at"] == "2026-01-01 00:00:07.000Z"


def program(directory: Path, command: str) -> Path:
    """A program that is that command."""
    path = directory / "pocketbase"
    path.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    path.chmod(0o755)
    return path


def test_it_is_started_with_collections_and_books(tmp_path: Path) -> None:
    """The books that need a token are the same ones; what PostgreSQL uses meanwhile is none of its."""
    with pocketbase.serve(program(tmp_path, f"{sys.executable} -m tests.perf.pocket"), books=3) as started:
        data = Path(started.database_url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(data)) as connection:
            books = connection.execute("SELECT * FROM books").fetchall()
            secured = connection.execute("SELECT * FROM me_books").fetchall()
            asked = [json.loads(body) for (body,) in connection.execute("SELECT body FROM asked")]
        assert started.cpu_seconds() > 0
    assert [row[0] for row in books] == ["000000000000001", "000000000000002", "000000000000003"]
    assert books == secured
    assert {body["name"]: body["viewRule"] for body in asked if "fields" in body} == {
        "categories": "",
        "books": "",
        "me_books": '@request.auth.id != ""',
    }
    assert not started.is_on_postgresql
    assert not data.parent.exists()


def test_what_makes_no_superuser_is_not_measured(tmp_path: Path) -> None:
    """The run ends with what the program said."""
    refusing = program(tmp_path, "echo no such thing; exit 1 #")
    with pytest.raises(ServerStartError, match="no such thing"), pocketbase.serve(refusing, books=3):
        pytest.fail("it was started")


@pytest.mark.parametrize("piece", [1, 1000])
def test_answers_in_chunks_are_read(piece: int) -> None:
    """One after another on a connection, however the network cuts them; what is neither counted nor in chunks is refused."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    outcome = uvloop.run(_driven(head + b'5\r\n{"a":\r\n2\r\n0}\r\n0\r\n\r\n', piece))
    assert (len(outcome.latencies_ms), outcome.failures) == (3, 0)
    outcome = uvloop.run(_driven(b"HTTP/1.1 200 OK\r\n\r\n{}", 1000))
    assert outcome.first_failure.startswith("an answer without content-length")


async def _driven(answer: bytes, piece: int) -> Outcome:
    """What the client makes of three such answers."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            await reader.readuntil(b"\r\n\r\n")
            for start in range(0, len(answer), piece):
                writer.write(answer[start : start + piece])
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        return await _run(port, requests=[Call(path="/").encode()] * 3, connections=1, timeout_seconds=10)
