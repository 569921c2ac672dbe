"""The stream of an export: chunk by chunk, complete or broken off, and no faster than the client reads."""

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from rowhouse.core.errors import RowhouseError, UnavailableError
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.transfer import exporter as module
from rowhouse.transfer.exporter import Exporter
from rowhouse.workers.runner import RequestRunner, WorkerGroup
from tests.conftest import unique
from tests.transfer.conftest import GONE, NDJSON, Headers, Send, converse

COUNT = 10


@pytest.fixture
def shelf(client: TestClient, send: Send, category: int, monkeypatch: pytest.MonkeyPatch) -> str:
    """The export of ten books, in chunks of two and three."""
    rows = [f'{{"title":"{unique("e")}","author":"A","price":1,"category_id":{category}}}' for _ in range(COUNT)]
    assert send("\n".join(rows), NDJSON).json() == {"created": COUNT}
    monkeypatch.setattr(module, "FIRST_CHUNK", 2)
    monkeypatch.setattr(module, "CHUNK", 3)
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0)
    return f"/api/v1/books/export?format=ndjson&category_id={category}"


@pytest.fixture
def chunks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sizes of the chunks that were read, in order."""
    sizes: list[int] = []
    read = Exporter._next

    def noted(self: Exporter, walk: Any, size: int, unit: UnitOfWork) -> bytes:
        sizes.append(size)
        return read(self, walk, size, unit)

    monkeypatch.setattr(Exporter, "_next", noted)
    return sizes


def test_a_stream_is_read_in_chunks(client: TestClient, shelf: str, chunks: list[int]) -> None:
    """The first is small, so that the response begins soon.

    Each is sent on its own, and the last one ends the response.
    """
    conversation, error = converse(client, "GET", shelf, {})
    assert error is None
    assert conversation.is_whole
    assert conversation.body.count(b"\n") == COUNT
    assert chunks == [2, 3, 3, 3]
    assert [m["body"].count(b"\n") for m in conversation.sent[1:]] == [2, 3, 3, 2, 0]


def test_rows_that_come_and_go_do_not_disturb_a_stream(
    client: TestClient, admin: Headers, shelf: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows that exist before and after are exported once."""
    listed = client.get(shelf.replace("/export?format=ndjson&", "?")).json()["items"]
    read = Exporter._next

    def disturbed(self: Exporter, walk: Any, size: int, unit: UnitOfWork) -> bytes:
        written = read(self, walk, size, unit)
        if size == 2:
            gone.append(client.delete(f"/api/v1/books/{listed[0]['id']}", headers=admin).status_code)
        return written

    gone: list[int] = []
    monkeypatch.setattr(Exporter, "_next", disturbed)
    lines = client.get(shelf).content.splitlines()
    assert (len(lines), gone) == (COUNT, [204])


def failing(error: Exception, *, after: int) -> Callable[..., bytes]:
    """Return a reader that fails after this number of chunks."""
    read, done = Exporter._next, list[int]()

    def next_chunk(self: Exporter, walk: Any, size: int, unit: UnitOfWork) -> bytes:
        done.append(size)
        if len(done) > after:
            raise error
        return read(self, walk, size, unit)

    return next_chunk


@pytest.mark.parametrize("error", [RowhouseError(), ZeroDivisionError()])
def test_a_failure_in_the_middle_breaks_the_answer_off(
    client: TestClient, shelf: str, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The client gets the rows so far without an end, so it cannot take them for all rows."""
    monkeypatch.setattr(Exporter, "_next", failing(error, after=2))
    conversation, raised = converse(client, "GET", shelf, {})
    assert raised is not None
    assert (conversation.status, conversation.body.count(b"\n")) == (200, 5)
    assert not conversation.is_whole


@pytest.mark.parametrize(("error", "status"), [(RowhouseError(), 500), (UnavailableError(), 503)])
def test_a_failure_at_the_beginning_is_a_problem(
    client: TestClient, shelf: str, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    """Nothing of the file was sent by then."""
    monkeypatch.setattr(Exporter, "_next", failing(error, after=0))
    answer = client.get(shelf)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert "content-disposition" not in answer.headers


def full(times: int, monkeypatch: pytest.MonkeyPatch) -> list[WorkerGroup]:
    """Make the runner reject this number of calls after the first one. Return the worker group of each call."""
    groups: list[WorkerGroup] = []
    run = RequestRunner.run

    async def refusing(self: RequestRunner, work: Any, *, write: bool, group: WorkerGroup = WorkerGroup.DEFAULT) -> Any:
        groups.append(group)
        if 1 < len(groups) <= 1 + times:
            raise UnavailableError
        return await run(self, work, write=write, group=group)

    monkeypatch.setattr(RequestRunner, "run", refusing)
    return groups


def test_a_stream_waits_for_a_full_server(client: TestClient, shelf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A part was sent already. Every call uses the group for transfers."""
    groups = full(module.ATTEMPTS, monkeypatch)
    conversation, error = converse(client, "GET", shelf, {})
    assert error is None
    assert conversation.is_whole
    assert conversation.body.count(b"\n") == COUNT
    assert groups == [WorkerGroup.TRANSFER] * (4 + module.ATTEMPTS)


def test_a_stream_does_not_wait_for_ever(client: TestClient, shelf: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The response is broken off then."""
    full(module.ATTEMPTS + 1, monkeypatch)
    conversation, error = converse(client, "GET", shelf, {})
    assert error is not None
    assert conversation.body.count(b"\n") == 2
    assert not conversation.is_whole


def test_a_client_that_goes_away_ends_the_work(client: TestClient, shelf: str, chunks: list[int]) -> None:
    """No further chunk is read."""
    conversation, _ = converse(client, "GET", shelf, {}, [GONE])
    assert len(chunks) < 4
    assert not conversation.is_whole


def test_the_scope_of_the_first_hop_holds(
    client: TestClient, admin: Headers, driver: Headers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every chunk has only rows of the caller."""
    monkeypatch.setattr(module, "FIRST_CHUNK", 1)
    monkeypatch.setattr(module, "CHUNK", 1)
    plates = [unique("P") for _ in range(6)]
    for number, plate in enumerate(plates):
        body = {"plate": plate, "connector": "ccs"}
        who = admin if number % 2 else driver
        assert client.post("/api/v1/vehicles", json=body, headers=who).status_code == 201
    text = client.get("/api/v1/vehicles/export", headers=driver).text
    assert [plate for plate in plates if plate in text] == plates[::2]
    assert client.get("/api/v1/vehicles/export").status_code == 401


@pytest.mark.parametrize(
    ("stored", "cell"),
    [
        ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@SUM(A1)", "'@SUM(A1)"), ("\tx", "'\tx"), ("\rx", "'\rx"),
        ("\nx", "'\nx"), ("\uff1d1", "'\uff1d1"), ("\uff20x", "'\uff20x"), ("'=1", "''=1"), ("''-", "'''-"),
        ("'tis", "'tis"), ("a=1", "a=1"), (" =1", " =1"), ("'", "'"), ("", ""), ('"=1"', '"=1"'),
    ],
)  # fmt: skip
def test_no_cell_is_a_formula(client: TestClient, admin: Headers, category: int, stored: str, cell: str) -> None:
    """A text that a spreadsheet would run begins with a quote. NDJSON has the text as it is; numbers stay numbers."""
    title = unique("formula")
    body = {"title": title, "author": "A", "price": 1, "category_id": category, "description": stored}
    assert client.post("/api/v1/books", json=body, headers=admin).status_code == 201
    query = f"category_id={category}"
    written = cell.replace('"', '""')
    quoted = f'"{written}"' if set(cell) & set('",\r\n') else written
    assert f"{title},A,{quoted},1.0,0,{category}," in client.get(f"/api/v1/books/export?{query}").text
    assert client.get(f"/api/v1/books/export?{query}&format=ndjson").json()["description"] == stored
