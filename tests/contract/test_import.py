"""Imports of every entity: what an export gives can be read again, and a file is stored whole or not at all (docs/contract.md §2)."""

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

import pytest
from httpx2 import Response

from rowhouse.entities.model import Mark
from rowhouse.transfer import exporter as export_module
from tests.contract.entity_client import Headers, House, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_house
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
    house: House, content: str | bytes, media_type: str | None = NDJSON, headers: Headers | None = None
) -> Response:
    """The answer to a file."""
    extra = {"Content-Type": media_type} if media_type else {}
    return house.call("POST", "/import", headers, content=content, extra=extra)


def lines(rows: Sequence[Any]) -> str:
    """NDJSON."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def sheet(rows: Sequence[Sequence[Any]]) -> str:
    """CSV."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue()


def comparable(house: House, rows: Sequence[Row]) -> list[str]:
    """Rows without what each new one has of its own, in an order that does not depend on it."""
    own = {"id", "created_at", "updated_at", *house.marked(Mark.READ_ONLY)}
    return sorted(json.dumps({name: value for name, value in row.items() if name not in own}) for row in rows)


def settable_columns(house: House, text: str) -> str:
    """An exported sheet with only the columns that a client may set."""
    names, *records = csv.reader(io.StringIO(text, newline=""))
    kept = [position for position, name in enumerate(names) if name in house.create]
    return sheet([[record[position] for position in kept] for record in (names, *records)])


@every_house("list", "create", "delete")
@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_what_was_exported_can_be_imported(house: House, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost on the way out and back: every value of every column is as it was."""
    monkeypatch.setattr(export_module, "FIRST_CHUNK", 4)
    rows = sorted((house.make() for _ in range(5)), key=lambda row: row["id"])
    mine = {"id__in": ",".join(str(row["id"]) for row in rows)}
    text = house.call("GET", "/export", params={"format": kind, **mine}).text
    if kind == "csv":
        text = settable_columns(house, text)
    else:
        text = lines([{n: v for n, v in json.loads(line).items() if n in house.create} for line in text.splitlines()])
    for row in rows:
        assert house.call("DELETE", f"/{row['id']}").status_code == 204
    answer = send(house, text, CSV if kind == "csv" else NDJSON)
    assert (answer.status_code, answer.json()) == (201, {"created": len(rows)}), answer.text
    assert answer.headers["content-type"] == "application/json"
    new = house.list(created_at__gt=rows[-1]["updated_at"], size=100)["items"]
    assert comparable(house, new[-len(rows) :]) == comparable(house, rows)


@every_house("create")
def test_every_bad_row_is_listed_and_nothing_is_stored(house: House) -> None:
    """Under its number, with the line of the file; the good ones are not."""
    before = house.total()
    good, more = house.body(), house.body()
    answer = send(house, lines([good, {**good, "nonsense": 1}, more]) + "\n[]\n{\n" + lines([{"id": 1}]))
    faults = problem(answer, 422, "invalid_input")["errors"]
    assert {fault["loc"][1] for fault in faults} == {1, 3, 4, 5}
    assert {fault["msg"].partition(":")[0] for fault in faults} == {"line 2", "line 5", "line 6", "line 7"}
    assert ["body", 1, "nonsense"] in [fault["loc"] for fault in faults]
    assert {*house.required, "id"} <= {fault["loc"][2] for fault in faults if fault["loc"][1] == 5}
    assert house.total() == before


@every_house("create")
def test_every_bad_cell_is_listed_and_nothing_is_stored(house: House) -> None:
    """A row of too many cells is one fault."""
    before, names = house.total(), list(house.create)
    answer = send(house, sheet([names, ["\x00"] * len(names), [*names, "x"], ["x"] * (len(names) + 2)]), CSV)
    faults = problem(answer, 422, "invalid_input")["errors"]
    assert {(fault["loc"][1], fault["msg"].partition(":")[0]) for fault in faults} == {
        (0, "line 2"), (1, "line 3"), (2, "line 4"),
    }  # fmt: skip
    assert {fault["loc"][2] for fault in faults if fault["loc"][1] == 0} == set(names)
    assert house.total() == before


@every_house("create")
def test_a_header_names_only_what_a_client_may_set(house: House) -> None:
    """Not the key, the timestamps, the owner nor what is marked; each once, and all that is required."""
    before, names = house.total(), list(house.create)
    server_owned = {"id", "created_at", "updated_at", *house.marked(Mark.READ_ONLY), *house.marked(Mark.SECRET)}
    for wrong in sorted(server_owned | ({house.owner} if house.owner else set()) | {"nonsense", "", f"{names[0]} "}):
        faults = problem(send(house, sheet([[*names, wrong]]), CSV), 422, "invalid_input")["errors"]
        assert [(fault["loc"], fault["type"]) for fault in faults] == [(["body", "header", wrong], "extra_forbidden")]
    faults = problem(send(house, sheet([[*names, names[0]]]), CSV), 422, "invalid_input")["errors"]
    assert [(fault["loc"], fault["type"]) for fault in faults] == [(["body", "header", names[0]], "repeated")]
    for name in house.required:
        header = [other for other in names if other != name] or ["nonsense"]
        faults = problem(send(house, sheet([header]), CSV), 422, "invalid_input")["errors"]
        assert (["body", "header", name], "missing") in [(fault["loc"], fault["type"]) for fault in faults]
    assert house.total() == before


@every_house("create")
def test_a_file_without_rows_is_422(house: House) -> None:
    """Empty, blank, or a header alone."""
    before, header = house.total(), ",".join(house.create)
    for content, media_type in (
        ("", CSV),
        ("", NDJSON),
        (" \n\r\n", NDJSON),
        ("\n\n", CSV),
        (header, CSV),
        (f"{header}\n\n", CSV),
    ):
        told = problem(send(house, content, media_type), 422, "invalid_input")
        assert [fault["loc"] for fault in told["errors"]] == [["body"]]
    assert house.total() == before


@every_house("create", where=lambda registration: bool(unique_columns(registration)))
def test_every_conflicting_row_is_listed_and_nothing_is_stored(house: House) -> None:
    """With what is stored, and with an earlier row of the file."""
    for names in unique_columns(house.registration):
        row = house.make()
        first, second, third = house.body(), house.body(), house.body()
        taken = {**house.body(), **{name: row[name] for name in names}}
        again = {**house.body(), **{name: first[name] for name in names}}
        before = house.total()
        for kind in (NDJSON, CSV):
            rows = [first, taken, second, again, third]
            header = list(house.create)
            text = lines(rows) if kind == NDJSON else sheet([header, *([r[n] for n in header] for r in rows)])
            told = problem_with_rows(send(house, text, kind), 409)
            assert told["code"] == "duplicate"
            assert [fault["loc"] for fault in told["errors"]] == [["body", 1], ["body", 3]]
            assert told["detail"].startswith("Line 2: " if kind == NDJSON else "Line 3: ")
            assert house.total() == before


def problem_with_rows(answer: Response, status: int) -> dict[str, Any]:
    """A conflict that lists rows."""
    told: dict[str, Any] = answer.json()
    assert answer.status_code == told["status"] == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert told["errors"]
    return told


@every_house("create")
def test_another_media_type_is_415(house: House) -> None:
    """Only CSV and NDJSON in UTF-8 are read; the answer says so."""
    before, content = house.total(), lines([house.body()])
    for media_type in OTHER_TYPES:
        told = problem(send(house, content, media_type), 415, "unsupported_media_type")
        assert "text/csv or application/x-ndjson" in told["detail"]
    assert house.total() == before
    for media_type in (
        "Application/X-NDJSON; charset=UTF-8",
        'application/x-ndjson;charset="utf-8"',
        f"{NDJSON}; charset=us-ascii",
    ):
        assert send(house, lines([house.body()]), media_type).status_code == 201


@every_house("create")
def test_who_may_not_create_may_not_import(house: House) -> None:
    """401 and 403 as for a create; a parameter of the query is refused too."""
    before, content = house.total(), lines([house.body()])
    problem(send(house, content, headers={}), 401)
    stranger = house.world.caller("plain", "user")
    status = house.call("POST", "", stranger, json={"no_such": 1}).status_code
    answer = send(house, "", headers=stranger)
    assert answer.status_code == status
    for query in ("?x=1", "?format=csv"):
        told = problem(house.call("POST", f"/import{query}", content=content, extra={"Content-Type": NDJSON}), 422)
        assert told["errors"][0]["loc"][0] == "query"
    assert house.total() == before


@every_house("create", where=owned)
def test_an_imported_row_is_the_callers(house: House) -> None:
    """Whoever that is."""
    who = house.world.caller("owner")
    own = {"vehicle_id": None} if "vehicle_id" in house.create else {}
    owner = house.world.client.get("/api/v1/users/me", headers=who).json()["id"]
    before = house.list(who, sort="-id", size=1)["items"]
    assert send(house, lines([house.body(**own), house.body(**own)]), headers=who).json() == {"created": 2}
    new = house.list(who, sort="-id", size=2)["items"]
    assert [row[str(house.owner)] for row in new] == [owner, owner]
    assert not {row["id"] for row in before} & {row["id"] for row in new}
