"""An export contains the rows of the list, for every entity (docs/contract.md §2)."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest

from rowhouse.entities.model import Mark
from rowhouse.transfer import exporter as module
from tests.contract.entity_client import EntityClient, Headers, Row
from tests.contract.problems import faulty_members, problem
from tests.contract.registrations import columns_unlike, every_entity, few
from tests.contract.test_lists import made
from tests.contract.test_owners import HIDDEN_VALUES, has_secrets, private, row_of_owner

PAGE_WORDS = {"page": 1, "size": 10, "skip": 0, "limit": 10, "cursor": "x", "expand": "owner"}


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make chunks small, so that a few rows need several, the last of them full or not."""
    monkeypatch.setattr(module, "FIRST_CHUNK", 2)
    monkeypatch.setattr(module, "CHUNK", 3)


def exported(entity: EntityClient, headers: Headers | None = None, /, **query: Any) -> list[Row]:
    """Return the rows of an export as NDJSON."""
    answer = entity.call("GET", "/export", headers, params={"format": "ndjson", **query})
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def sorts(entity: EntityClient) -> Iterator[str]:
    """Yield each column, in one direction, with the next one in the other direction."""
    names = entity.resource.parameters.sortable
    for number, name in enumerate(names):
        sign, other = ("", "-") if number % 2 else ("-", "")
        yield f"{sign}{name},{other}{names[(number + 1) % len(names)]}"


@every_entity("list", where=columns_unlike)
def test_an_export_gives_what_the_list_gives(entity: EntityClient) -> None:
    """In every order, with nulls and ties, for every size of a chunk."""
    _, mine = made(entity, 6)
    for sort in sorts(entity):
        assert exported(entity, sort=sort, **mine) == entity.list(sort=sort, size=100, **mine)["items"], sort


def columns(entity: EntityClient) -> list[str]:
    """Return the columns of a sheet. A member that contains rows, such as an order's lines, does not fit into a cell."""
    return [name for name in entity.public if name in entity.resource.columns]


@every_entity("list", where=few)
def test_an_export_takes_the_filters_of_the_list(entity: EntityClient) -> None:
    """Equality, other operators, several together, and search."""
    rows, mine = made(entity, 5)
    last = list(entity.public)[-3]
    queries: list[dict[str, Any]] = [{"id": rows[0]["id"]}, {"id__ne": rows[0]["id"], f"{last}__isnull": "false"}]
    queries += [{"search": "a"}] if entity.resource.parameters.search.columns else []
    for query in queries:
        assert exported(entity, **mine, **query) == entity.list(**mine, **query)["items"], query
    assert exported(entity, id=rows[0]["id"], id__ne=rows[0]["id"]) == []


@every_entity("list", "get")
def test_a_line_is_the_row_as_a_get_gives_it(entity: EntityClient) -> None:
    """Byte for byte."""
    rows, mine = made(entity, 4)
    answer = entity.call("GET", "/export", params={"format": "ndjson", **mine})
    assert answer.content.splitlines() == [entity.call("GET", f"/{row['id']}").content for row in rows]
    assert answer.content.endswith(b"\n")


@every_entity("list", where=few)
def test_a_file_has_a_name_and_a_type(entity: EntityClient) -> None:
    """CSV by default. Without rows it has a header, and NDJSON nothing."""
    row = entity.make()
    nothing = {"id": row["id"], "created_at__gt": row["created_at"]}
    header = ",".join(columns(entity)) + "\r\n"
    for query, media_type, ending, text in (
        ({}, "text/csv; charset=utf-8", "csv", header),
        ({"format": "csv"}, "text/csv; charset=utf-8", "csv", header),
        ({"format": "ndjson"}, "application/x-ndjson", "ndjson", ""),
    ):
        answer = entity.call("GET", "/export", params={**query, **nothing})
        assert (answer.status_code, answer.text) == (200, text)
        assert answer.headers["content-type"] == media_type
        name = f"{entity.resource.path}.{ending}"
        assert answer.headers["content-disposition"] == f'attachment; filename="{name}"'


def cell(value: Any) -> Any:
    """Return the CSV of a value. A document is compared as one."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


@every_entity("list")
def test_cells_are_the_values_as_json_has_them(entity: EntityClient) -> None:
    """A line with the names and one for each row, each ending in CR and LF (RFC 4180)."""
    rows, mine = made(entity, 5)
    answer = entity.call("GET", "/export", params=mine)
    names, *records = csv.reader(io.StringIO(answer.text, newline=""), strict=True)
    assert names == columns(entity)
    assert answer.text.count("\r\n") == len(rows) + 1
    documents = {
        name for name, schema in entity.public.items() if entity.running_app.bodies.kind(schema) in ("object", "array")
    }
    for row, record in zip(rows, records, strict=True):
        for name, found in zip(names, record, strict=True):
            if name in documents and row[name] is not None:
                assert json.loads(found) == row[name]
            else:
                assert found == cell(row[name])


@every_entity("list", where=few)
def test_pages_and_unknown_words_are_422(entity: EntityClient) -> None:
    """Each is named. So is an unknown format."""
    for name, value in {**PAGE_WORDS, "nonsense": 1}.items():
        assert faulty_members(entity.call("GET", "/export", params={name: value})) == {name}
    for kind in ("", "CSV", "xlsx"):
        assert faulty_members(entity.call("GET", "/export", params={"format": kind})) == {"format"}
    assert faulty_members(entity.call("GET", "/export", params={"sort": "nope"})) == {"sort"}
    problem(entity.call("GET", "/export?format=csv&format=csv"), 422)


@every_entity("list", where=few)
def test_who_may_not_list_may_not_export(entity: EntityClient) -> None:
    """With the same response."""
    for who in ({}, {"Authorization": "Bearer x"}):
        listed, answer = entity.call("GET", "", who), entity.call("GET", "/export", who)
        assert answer.status_code == listed.status_code
        if answer.status_code != 200:
            assert problem(answer, listed.status_code) == listed.json()


@every_entity("list", where=private)
def test_nobody_exports_anothers_rows(entity: EntityClient) -> None:
    """Neither without filters nor by naming them. The owner and administrators do."""
    rows = [row_of_owner(entity) for _ in range(3)]
    mine = {"id__in": ",".join(str(row["id"]) for row in rows)}
    stranger = entity.running_app.caller("stranger")
    assert exported(entity, stranger, **mine) == []
    assert not {row["id"] for row in exported(entity, stranger)} & {row["id"] for row in rows}
    for who in (entity.running_app.caller("owner"), entity.running_app.admin):
        assert exported(entity, who, **mine) == entity.list(who, **mine)["items"] != []


@every_entity("list", where=has_secrets)
def test_a_secret_is_in_no_export(entity: EntityClient) -> None:
    """Neither its name nor its value. `fields` cannot select it."""
    _, mine = made(entity, 3)
    for kind in ("csv", "ndjson"):
        text = entity.call("GET", "/export", params={"format": kind, **mine}).text
        assert [name for name in entity.marked(Mark.SECRET) if name in text] == []
        assert [value for value in HIDDEN_VALUES if value in text] == []
    for name in entity.marked(Mark.SECRET):
        problem(entity.call("GET", "/export", params={f"{name}__isnull": "true"}), 422)
