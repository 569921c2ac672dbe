"""An import reads what an export wrote, and stores the whole file or nothing, for every entity (docs/contract.md §2)."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from httpx2 import Response

from rowhouse.entities.model import Mark
from rowhouse.transfer import exporter as export_module
from tests.contract.entity_client import EntityClient, Headers, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_entity, few
from tests.contract.test_conflicts import unique_columns
from tests.contract.test_owners import owned

CSV, NDJSON = "text/csv", "application/x-ndjson"
OTHER_TYPES = (
    None,
    "application/json",
    "text/plain",
    "text/csv; charset=latin-1",
    "application/x-ndjson; charset=utf-16",
    "csv",
)


def send(
    entity: EntityClient, content: str | bytes, media_type: str | None = NDJSON, headers: Headers | None = None
) -> Response:
    """Return the response to a file."""
    extra = {"Content-Type": media_type} if media_type else {}
    return entity.call("POST", "/import", headers, content=content, extra=extra)


def lines(rows: Sequence[Any]) -> str:
    """Return rows as NDJSON."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def sheet(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def comparable(entity: EntityClient, rows: Sequence[Row]) -> list[str]:
    """Return rows without members that each new row has of its own, in a stable order."""
    own = {"id", "created_at", "updated_at", *entity.marked(Mark.READ_ONLY)}
    return sorted(json.dumps({name: value for name, value in row.items() if name not in own}) for row in rows)


def settable_columns(entity: EntityClient, text: str) -> str:
    """Return an exported sheet with only the columns that a client may set."""
    names, *records = csv.reader(io.StringIO(text, newline=""))
    kept = [position for position, name in enumerate(names) if name in entity.create]
    return sheet([[record[position] for position in kept] for record in (names, *records)])


@every_entity("list", "create", "delete")
@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_what_was_exported_can_be_imported(entity: EntityClient, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every value of every column stays the same."""
    monkeypatch.setattr(export_module, "FIRST_CHUNK", 4)
    rows = sorted((entity.make() for _ in range(5)), key=lambda row: row["id"])
    mine = {"id__in": ",".join(str(row["id"]) for row in rows)}
    text = entity.call("GET", "/export", params={"format": kind, **mine}).text
    if kind == "csv":
        text = settable_columns(entity, text)
    else:
        text = lines([{n: v for n, v in json.loads(line).items() if n in entity.create} for line in text.splitlines()])
    for row in rows:
        assert entity.call("DELETE", f"/{row['id']}").status_code == 204
    answer = send(entity, text, CSV if kind == "csv" else NDJSON)
    assert (answer.status_code, answer.json()) == (201, {"created": len(rows)}), answer.text
    assert answer.headers["content-type"] == "application/json"
    new = entity.list(created_at__gt=rows[-1]["updated_at"], size=100)["items"]
    assert comparable(entity, new[-len(rows) :]) == comparable(entity, rows)


@every_entity("create")
def test_every_bad_row_is_listed_and_nothing_is_stored(entity: EntityClient) -> None:
    """With its position and the line of the file. The valid rows are not listed."""
    before = entity.total()
    good, more = entity.body(), entity.body()
    answer = send(entity, lines([good, {**good, "nonsense": 1}, more]) + "\n[]\n{\n" + lines([{"id": 1}]))
    faults = problem(answer, 422, "invalid_input")["errors"]
    assert {fault["loc"][1] for fault in faults} == {1, 3, 4, 5}
    assert {fault["msg"].partition(":")[0] for fault in faults} == {"line 2", "line 5", "line 6", "line 7"}
    assert ["body", 1, "nonsense"] in [fault["loc"] for fault in faults]
    assert {*entity.required, "id"} <= {fault["loc"][2] for fault in faults if fault["loc"][1] == 5}
    assert entity.total() == before


@every_entity("create")
def test_every_bad_cell_is_listed_and_nothing_is_stored(entity: EntityClient) -> None:
    """A row with too many cells is one fault."""
    before, names = entity.total(), list(entity.create)
    answer = send(entity, sheet([names, ["\x00"] * len(names), [*names, "x"], ["x"] * (len(names) + 2)]), CSV)
    faults = problem(answer, 422, "invalid_input")["errors"]
    assert {(fault["loc"][1], fault["msg"].partition(":")[0]) for fault in faults} == {
        (0, "line 2"), (1, "line 3"), (2, "line 4"),
    }  # fmt: skip
    assert {fault["loc"][2] for fault in faults if fault["loc"][1] == 0} == set(names)
    assert entity.total() == before


@every_entity("create")
def test_a_header_names_only_what_a_client_may_set(entity: EntityClient) -> None:
    """Not the key, the timestamps, the owner or marked columns. Each once, and all required ones."""
    before, names = entity.total(), list(entity.create)
    server_owned = {"id", "created_at", "updated_at", *entity.marked(Mark.READ_ONLY), *entity.marked(Mark.SECRET)}
    for wrong in sorted(server_owned | ({entity.owner} if entity.owner else set()) | {"nonsense", "", f"{names[0]} "}):
        faults = problem(send(entity, sheet([[*names, wrong]]), CSV), 422, "invalid_input")["errors"]
        assert [(fault["loc"], fault["type"]) for fault in faults] == [(["body", "header", wrong], "extra_forbidden")]
    faults = problem(send(entity, sheet([[*names, names[0]]]), CSV), 422, "invalid_input")["errors"]
    assert [(fault["loc"], fault["type"]) for fault in faults] == [(["body", "header", names[0]], "repeated")]
    for name in entity.required:
        header = [other for other in names if other != name] or ["nonsense"]
        faults = problem(send(entity, sheet([header]), CSV), 422, "invalid_input")["errors"]
        assert (["body", "header", name], "missing") in [(fault["loc"], fault["type"]) for fault in faults]
    assert entity.total() == before


@every_entity("create", where=few)
def test_a_file_without_rows_is_422(entity: EntityClient) -> None:
    """An empty or blank file, and a header alone."""
    before, header = entity.total(), ",".join(entity.create)
    for content, media_type in (
        ("", CSV),
        ("", NDJSON),
        (" \n\r\n", NDJSON),
        ("\n\n", CSV),
        (header, CSV),
        (f"{header}\n\n", CSV),
    ):
        told = problem(send(entity, content, media_type), 422, "invalid_input")
        assert [fault["loc"] for fault in told["errors"]] == [["body"]]
    assert entity.total() == before


@every_entity("create", where=lambda registration: bool(unique_columns(registration)))
def test_every_conflicting_row_is_listed_and_nothing_is_stored(entity: EntityClient) -> None:
    """A conflict with stored rows, and with an earlier row of the file."""
    for names in unique_columns(entity.registration):
        row = entity.make()
        first, second, third = entity.body(), entity.body(), entity.body()
        taken = {**entity.body(), **{name: row[name] for name in names}}
        again = {**entity.body(), **{name: first[name] for name in names}}
        before = entity.total()
        for kind in (NDJSON, CSV):
            rows = [first, taken, second, again, third]
            header = list(entity.create)
            text = lines(rows) if kind == NDJSON else sheet([header, *([r[n] for n in header] for r in rows)])
            told = problem_with_rows(send(entity, text, kind), 409)
            assert told["code"] == "duplicate"
            assert [fault["loc"] for fault in told["errors"]] == [["body", 1], ["body", 3]]
            assert told["detail"].startswith("Line 2: " if kind == NDJSON else "Line 3: ")
            assert entity.total() == before


def problem_with_rows(answer: Response, status: int) -> dict[str, Any]:
    """Return a conflict that lists rows."""
    told: dict[str, Any] = answer.json()
    assert answer.status_code == told["status"] == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["errors"]
    return told


@every_entity("create", where=few)
def test_another_media_type_is_415(entity: EntityClient) -> None:
    """Only CSV and NDJSON in UTF-8 are accepted. The error says so."""
    before, content = entity.total(), lines([entity.body()])
    for media_type in OTHER_TYPES:
        told = problem(send(entity, content, media_type), 415, "unsupported_media_type")
        assert "text/csv or application/x-ndjson" in told["detail"]
    assert entity.total() == before
    for media_type in (
        "Application/X-NDJSON; charset=UTF-8",
        'application/x-ndjson;charset="utf-8"',
        f"{NDJSON}; charset=us-ascii",
    ):
        assert send(entity, lines([entity.body()]), media_type).status_code == 201


@every_entity("create", where=few)
def test_who_may_not_create_may_not_import(entity: EntityClient) -> None:
    """401 and 403 as for a create. A query parameter is 422."""
    before, content = entity.total(), lines([entity.body()])
    problem(send(entity, content, headers={}), 401)
    stranger = entity.running_app.caller("plain", "user")
    status = entity.call("POST", "", stranger, json={"no_such": 1}).status_code
    answer = send(entity, "", headers=stranger)
    assert answer.status_code == status
    for query in ("?x=1", "?format=csv"):
        told = problem(entity.call("POST", f"/import{query}", content=content, extra={"Content-Type": NDJSON}), 422)
        assert told["errors"][0]["loc"][0] == "query"
    assert entity.total() == before


@every_entity("create", where=owned)
def test_an_imported_row_is_the_callers(entity: EntityClient) -> None:
    """Whoever the caller is."""
    who = entity.running_app.caller("owner")
    own = {"vehicle_id": None} if "vehicle_id" in entity.create else {}
    owner = entity.running_app.client.get("/api/v1/users/me", headers=who).json()["id"]
    before = entity.list(who, sort="-id", size=1)["items"]
    assert send(entity, lines([entity.body(**own), entity.body(**own)]), headers=who).json() == {"created": 2}
    new = entity.list(who, sort="-id", size=2)["items"]
    assert [row[str(entity.owner)] for row in new] == [owner, owner]
    assert not {row["id"] for row in before} & {row["id"] for row in new}
