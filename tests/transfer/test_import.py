"""The file of an import: its allowed forms, its errors, and that a part of it is never stored."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message

from rowhouse.core.errors import UnavailableError
from rowhouse.transfer import importer as module
from rowhouse.workers.runner import RequestRunner, WorkerGroup
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in, unique
from tests.contract.problems import problem
from tests.transfer.conftest import CSV, GONE, NDJSON, Headers, Send, converse, piece, total

HEADER = "title,author,price,category_id"
Faults = list[tuple[list[Any], str]]


def faults(answer: Any, status: int = 422) -> Faults:
    """Return the places and messages of a rejected file."""
    assert answer.status_code == status, answer.text
    return [(fault["loc"], fault["msg"]) for fault in answer.json()["errors"]]


def stored(client: TestClient, category: int) -> list[dict[str, Any]]:
    """Return the books in the category, in the order of their rows."""
    found: list[dict[str, Any]] = client.get(f"/api/v1/books?category_id={category}").json()["items"]
    return found


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_csv_may_be_written_in_many_ways(client: TestClient, send: Send, category: int, end: str, mark: str) -> None:
    """With or without a byte order mark, columns in any order, blank lines, quotes, and line breaks within a cell.

    The final line break may be missing.
    """
    one, two = unique("one"), unique("two")
    lines = [
        f"{mark}category_id,title,description,author,price,stock",
        "",
        f'{category},{one},"a ""quoted"", cell',
        'of two lines",A,12.50,007',
        "",
        f"{category},{two},'=1+1,''=B,0.10,1",
    ]
    answer = send(end.join(lines))
    assert (answer.status_code, answer.json()) == (201, {"created": 2}), answer.text
    first, second = stored(client, category)
    assert (first["title"], first["price"], first["stock"]) == (one, 12.5, 7)
    assert first["description"] == f'a "quoted", cell{end}of two lines'
    assert (second["description"], second["author"], second["price"]) == ("=1+1", "'=B", 0.1)


def test_an_empty_cell_is_null_or_empty_or_left_out(client: TestClient, send: Send, category: int) -> None:
    """Null in a nullable column, the empty text in another text column, otherwise the default or a fault."""
    title = unique("empty")
    answer = send(f"{HEADER},description,stock\n{title},A,1,{category},,\n")
    assert answer.status_code == 201, answer.text
    (row,) = stored(client, category)
    assert (row["description"], row["stock"], row["cover_image"]) == (None, 0, None)
    refused = faults(send(f"{HEADER}\n,A,,{category}\n"))
    assert [loc for loc, _ in refused] == [["body", 0, "title"], ["body", 0, "price"]]
    assert refused[0][1].startswith("line 2: String should have at least 1 character")
    assert refused[1][1] == "line 2: Field required"


def test_a_column_that_is_left_out_has_its_default(client: TestClient, send: Send, category: int) -> None:
    """Like a missing member of a create."""
    assert send(f"{HEADER}\n{unique('d')},A,1,{category}\n").status_code == 201
    assert stored(client, category)[0]["stock"] == 0


BROKEN = {
    "quotes in the middle": b'{good}\n"x"y,A,1,{c}\n{good}',
    "quotes without an end": b'{good}\n"x,A,1,{c}\n',
    "NUL": b"{good}\nx\0y,A,1,{c}\n{good}",
    "Latin-1": b"{good}\nStra\xdfe,A,1,{c}\n{good}",
    "half a character": b"{good}\n\xe2\x82,A,1,{c}\n{good}",
    "a surrogate in UTF-8": b"{good}\n\xed\xa0\x80,A,1,{c}\n{good}",
    "too few cells": b"{good}\nx,A\n{good}",
    "too many cells": b"{good}\nx,A,1,{c},5\n{good}",
    "a huge cell": b"{good}\nx,A," + b"1" * 300_000 + b",{c}\n{good}",
    "a row that is too long": b'{good}\n"' + b"x\n" * 700_000 + b'",A,1,{c}\n',
    "a line that is too long": b"{good}\n" + b"x" * 1_500_000 + b",A,1,{c}\n{good}",
    "a number with a comma": b'{good}\nx,A,"1,5",{c}\n{good}',
    "a number of another script": "{good}\nx,A,\u0661,{c}\n{good}".encode(),
    "a number past all bounds": b"{good}\nx,A,1e999,{c}\n{good}",
    "digits that are grouped": b"{good}\nx,A,1_0,{c}\n{good}",
    "a number in brackets": b'{good}\nx,A,"1],""stock"":[1",{c}\n{good}',
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_a_row_that_cannot_be_read_is_422(client: TestClient, send: Send, category: int, content: bytes) -> None:
    """It is named, and nothing is stored. Other rows are listed only if it contains the rest of the file."""
    rows = content.replace(b"{good}", f"{unique('good')},A,1,{category}".encode()).replace(
        b"{c}", str(category).encode()
    )
    refused = faults(send(HEADER.encode() + b"\n" + rows))
    assert refused[0][0][:2] == ["body", 1]
    assert refused[0][1].startswith("line 3: ")
    assert 0 not in [loc[1] for loc, _ in refused]
    assert total(client, category) == 0


def test_a_row_of_many_lines_has_the_limit_of_one(client: TestClient, send: Send, category: int) -> None:
    """An unclosed quote does not read the whole file into memory."""
    answer = send(f'{HEADER},description\nx,A,1,{category},"' + "y\n" * 700_000 + '"\n')
    assert (["body", 0], "line 2: a row has at most 1048576 bytes") in faults(answer)
    assert total(client, category) == 0


@pytest.mark.parametrize("header", [b"\xff", b'"a"b', b'"title', b"title;author", b"x" * 1_200_000, b"\0"])
def test_a_header_that_cannot_be_read_is_422(client: TestClient, send: Send, category: int, header: bytes) -> None:
    """Its line is named."""
    refused = faults(send(header + b"\nx,A,1,1\n"))
    assert refused[0][0][:2] == ["body", "header"]
    assert refused[0][1].startswith("line 1: ")
    assert max(len(str(part)) for loc, _ in refused for part in loc) <= 200


BAD_LINES = {
    "no JSON": b"nonsense",
    "no object": b"[1]",
    "a number": b"1",
    "half an object": b'{"title":',
    "two objects": b"{} {}",
    "half a surrogate pair": b'{"title":"\\ud800","author":"A","price":1,"category_id":{c}}',
    "NUL": b'{"title":"\\u0000","author":"A","price":1,"category_id":{c}}',
    "a deep one": b'{"title":' * 100_000,
    "deep arrays": b"[" * 100_000,
    "no UTF-8": b'{"title":"\xff","author":"A","price":1,"category_id":{c}}',
    "a number that is none": b'{"title":"x","author":"A","price":NaN,"category_id":{c}}',
    "a string for a number": b'{"title":"x","author":"A","price":1,"category_id":"{c}"}',
    "a line that is too long": b'{"title":"' + b"x" * 1_500_000 + b'"}',
    "a long name": b'{"' + b"x" * 5000 + b'":1}',
}


@pytest.mark.parametrize("line", BAD_LINES.values(), ids=BAD_LINES)
def test_a_line_that_cannot_be_read_is_422(client: TestClient, send: Send, category: int, line: bytes) -> None:
    """Only this line is named, and nothing is stored."""
    good = json.dumps({"title": unique("good"), "author": "A", "price": 1, "category_id": category}).encode()
    refused = faults(send(good + b"\n \r\n" + line.replace(b"{c}", str(category).encode()) + b"\n" + good, NDJSON))
    assert {loc[1] for loc, _ in refused} == {1}
    assert all(message.startswith("line 3: ") for _, message in refused)
    assert max(len(str(part)) for loc, _ in refused for part in loc) <= 200
    assert total(client, category) == 0


def test_the_number_of_listed_errors_is_limited(
    client: TestClient, send: Send, category: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response says that there are more."""
    monkeypatch.setattr(module, "MAX_ERRORS", 3)
    answer = send(HEADER + ("\nx,A,-1," + str(category)) * 3)
    assert (len(faults(answer)), "all faults" in answer.json()["detail"]) == (3, True)
    answer = send(HEADER + ("\nx,A,-1," + str(category)) * 5)
    assert (len(faults(answer)), "first 3 faults" in answer.json()["detail"]) == (3, True)
    assert total(client, category) == 0


def books(category: int, count: int) -> list[str]:
    """Return rows of CSV."""
    return [f"{unique('row')},A,1,{category}" for _ in range(count)]


def test_a_file_without_a_row_is_422(client: TestClient, send: Send, category: int) -> None:
    """A header alone. The type of the error is pydantic's for a list that is too short."""
    answer = send(f"{HEADER}\n")
    assert faults(answer) == [(["body"], "the file has no rows")]
    assert [fault["type"] for fault in answer.json()["errors"]] == ["too_short"]
    assert stored(client, category) == []


def test_many_rows_are_stored_in_order(client: TestClient, send: Send, category: int) -> None:
    """In several chunks."""
    rows = books(category, 1300)
    assert send("\n".join([HEADER, *rows])).json() == {"created": 1300}
    text = client.get(f"/api/v1/books/export?category_id={category}").text
    assert [line.split(",")[1] for line in text.splitlines()[1:]] == [row.split(",")[0] for row in rows]


def test_every_conflict_of_every_block_is_listed(client: TestClient, send: Send, category: int) -> None:
    """With earlier rows of the file and with stored rows. Nothing is stored."""
    rows = books(category, 1100)
    rows[3] = f"{unique('r')},A,1,2000000000"
    rows[700], rows[1099] = rows[5], rows[600]
    refused = faults(send("\n".join([HEADER, *rows])), 409)
    assert [loc for loc, _ in refused] == [["body", 3], ["body", 700], ["body", 1099]]
    assert refused[0][1] == "line 5: category_id: there is nothing with the id 2000000000."
    assert refused[1][1] == "line 702: Book with this title already exists"
    assert total(client, category) == 0


def test_a_hundred_conflicts_are_enough(
    client: TestClient, send: Send, category: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Later chunks are not checked."""
    monkeypatch.setattr(module, "MAX_CONFLICTS", 3)
    rows = books(category, 600)
    rows[1:5], rows[590] = [rows[0]] * 4, rows[0]
    refused = faults(send("\n".join([HEADER, *rows])), 409)
    assert [loc[1] for loc, _ in refused] == [1, 2, 3]
    assert total(client, category) == 0


def slots(point: int, hours: list[int], moment: Callable[[int], str]) -> str:
    """Return a file of bookings."""
    rows = [f"{point},{moment(hour)},{moment(hour + 1)}" for hour in hours]
    return "\n".join(["charge_point_id,start_time,end_time", *rows])


def test_the_rules_of_an_entity_see_each_row(
    client: TestClient, admin: Headers, driver: Headers, moment: Callable[[int], str]
) -> None:
    """With the rows before it: overlapping bookings, one in the past, and a valid one."""
    point = {"code": unique("i"), "name": "n", "latitude": 1, "longitude": 1, "connector": "ccs", "power_kw": 50}
    made = client.post("/api/v1/charge-points", json={**point, "price_per_kwh": 1}, headers=admin).json()["id"]
    headers = {**driver, "Content-Type": CSV}
    content = slots(made, [1, 2, 1, -9, 3, 2], moment)
    answer = client.post("/api/v1/bookings/import", content=content, headers=headers)
    assert answer.json()["code"] == "slot_taken"
    refused = faults(answer, 409)
    assert [loc for loc, _ in refused] == [["body", 2], ["body", 3, "start_time"], ["body", 5]]
    assert refused[1][1] == "line 5: must not be in the past"
    mine = {"charge_point_id": made}
    assert client.get("/api/v1/bookings", params=mine, headers=driver).json()["total"] == 0
    answer = client.post("/api/v1/bookings/import", content=slots(made, [1, 2, 3], moment), headers=headers)
    assert answer.json() == {"created": 3}
    assert client.get("/api/v1/bookings", params=mine, headers=driver).json()["total"] == 3


def test_a_key_makes_an_import_safe_to_repeat(client: TestClient, send: Send, category: int) -> None:
    """The same file gets the same response. Another file or type is 422. A rejected file does not use up the key."""
    key, rows = unique("key"), "\n".join([HEADER, *books(category, 2)])
    assert send(f"{HEADER}\nx,A,-1,{category}", Idempotency_Key=key).status_code == 422
    first, second = (send(rows, Idempotency_Key=key) for _ in range(2))
    assert (first.status_code, second.status_code, second.content) == (201, 201, first.content)
    assert second.headers["content-type"] == "application/json"
    assert ("Idempotent-Replayed" in first.headers, second.headers["Idempotent-Replayed"]) == (False, "true")
    other = send("\n".join([HEADER, *books(category, 1)]), Idempotency_Key=key)
    assert (other.status_code, other.json()["errors"][0]["type"]) == (422, "idempotency_key_reused")
    assert total(client, category) == 2


def test_a_file_may_be_longer_than_a_body_but_not_endless(make_app: Callable[..., TestClient], backend: str) -> None:
    """It has a limit of its own, and each row has the limit of a body. Nothing of a larger one is stored."""
    client = make_app(backend, max_body_bytes=1024, max_import_bytes=20_000)
    headers = {**sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD), "Content-Type": CSV}
    path, names = "/api/v1/categories/import", [unique("limit") for _ in range(1000)]
    assert client.post(path, content="name\n" + "\n".join(names), headers=headers).json() == {"created": 1000}
    answer = client.post(path, content="name\n" + "x\n" * 10_000, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "content_too_large")
    answer = client.post(path, content=f"name,description\nx,{'y' * 1100}\n", headers=headers)
    assert faults(answer) == [(["body", 0], "line 2: a row has at most 1024 bytes")]
    assert client.get("/api/v1/categories?size=1").json()["total"] == 1000


def test_a_body_is_not_read_before_the_caller_is_known(client: TestClient, user: Headers, admin: Headers) -> None:
    """Nobody sends 64 MiB just to be rejected."""
    body = piece(b"name\nx\n", more=False)
    kind = {"Content-Type": CSV}
    for target, who, status in (
        ("/api/v1/categories/import", {}, 401),
        ("/api/v1/categories/import", user, 403),
        ("/api/v1/categories/import?x=1", admin, 422),
    ):
        conversation, _ = converse(client, "POST", target, {**kind, **who}, [body])
        assert (conversation.status, conversation.received) == (status, 0)
    conversation, _ = converse(
        client, "POST", "/api/v1/categories/import", {**admin, "Content-Type": "text/plain"}, [body]
    )
    assert (conversation.status, conversation.received) == (415, 0)


def test_a_file_that_breaks_off_is_not_stored(client: TestClient, admin: Headers, category: int) -> None:
    """Even if the received part is a valid file. Only the log gets the response."""
    headers = {**admin, "Content-Type": CSV}
    content = "\n".join([HEADER, *books(category, 3), ""]).encode()
    conversation, error = converse(client, "POST", "/api/v1/books/import", headers, [piece(content), GONE])
    assert (conversation.status, error) == (400, None)
    assert total(client, category) == 0
    pieces = [piece(content[:50]), piece(b""), piece(content[50:]), piece(b"", more=False)]
    conversation, error = converse(client, "POST", "/api/v1/books/import", headers, pieces)
    assert (conversation.status, error) == (201, None)
    assert total(client, category) == 3


def test_an_endless_file_is_not_read_to_its_end(client: TestClient, admin: Headers) -> None:
    """413 when it is too long. The rest is not read."""

    def endless() -> Iterator[Message]:
        while True:
            yield piece(b"x" * 2**24)

    headers = {**admin, "Content-Type": CSV}
    conversation, _ = converse(client, "POST", "/api/v1/categories/import", headers, endless())
    assert (conversation.status, conversation.received) == (413, 5)


def test_a_server_that_is_full_refuses_a_file(
    client: TestClient, send: Send, category: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and nothing is stored.

    The caller is authorized in the default group, and the rows are stored in the group for transfers.
    """
    groups: list[WorkerGroup] = []
    run = RequestRunner.run

    async def refusing(self: RequestRunner, work: Any, *, write: bool, group: WorkerGroup = WorkerGroup.DEFAULT) -> Any:
        groups.append(group)
        if group is WorkerGroup.TRANSFER:
            raise UnavailableError
        return await run(self, work, write=write, group=group)

    with monkeypatch.context() as patched:
        patched.setattr(RequestRunner, "run", refusing)
        assert send("\n".join([HEADER, *books(category, 1)])).status_code == 503
    assert groups == [WorkerGroup.DEFAULT, WorkerGroup.TRANSFER]
    assert total(client, category) == 0


def test_an_error_of_the_server_names_no_row(
    client: TestClient, send: Send, category: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 without a list of rows. Nothing is stored."""

    def locked(*_: Any) -> None:
        raise UnavailableError

    with monkeypatch.context() as patched:
        patched.setattr("rowhouse.crud.batch.BatchVerbs._insert_chunk", locked)
        answer = send("\n".join([HEADER, *books(category, 2)]))
    assert (answer.status_code, "errors" in answer.json()) == (503, False)
    assert total(client, category) == 0


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_spreadsheet_may_write_semicolons_or_tabs(
    client: TestClient, send: Send, category: int, delimiter: str
) -> None:
    """The header decides. Cells may hold the other separators; a decimal comma is an error of its row."""
    names, title = ["title", "author", "price", "category_id"], unique("semicolon")
    lines = [
        "",
        delimiter.join(f'"{name}"' for name in names),
        delimiter.join([f"{title}, 1", "A", "9.50", str(category)]),
    ]
    lines += [delimiter.join([f'"{title};\t2"', "A", "1", str(category)]), ""]
    answer = send("\n".join(lines))
    assert (answer.status_code, answer.json()) == (201, {"created": 2})
    found = client.get("/api/v1/books", params={"category_id": category, "sort": "id"}).json()["items"]
    assert [(row["title"], row["price"]) for row in found[-2:]] == [(f"{title}, 1", 9.5), (f"{title};\t2", 1)]
    refused = send("\n".join([delimiter.join(names), delimiter.join([title, "A", "9,50", str(category)])]))
    (fault,) = problem(refused, 422)["errors"]
    assert fault["loc"] == ["body", 0, "price"]
    assert fault["msg"] == "line 2: Input should be a decimal number, as 12.50"


def test_the_error_of_a_form_says_to_send_the_file_itself(client: TestClient, admin: Headers) -> None:
    """415 with the command, for a file and for a batch."""
    files = {"file": ("books.csv", b"title\nx\n", "text/csv")}
    for path, kind in (("import", "text/csv"), ("batch", "application/json")):
        answer = client.post(f"/api/v1/books/{path}", files=files, headers=admin)
        told = problem(answer, 415, "unsupported_media_type")["detail"]
        assert told.endswith(f"curl --data-binary @file -H 'Content-Type: {kind}'")
