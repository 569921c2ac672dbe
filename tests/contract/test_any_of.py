"""`any` joins filters by OR, in lists, cursors, exports and aggregates (docs/contract.md §3)."""

import csv
import io
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from tests.contract.entity_client import EntityClient, Row, RunningApp
from tests.contract.list_model import selects, written
from tests.contract.problems import faulty_members, problem
from tests.contract.registrations import every_entity, few
from tests.contract.test_filters import asked, filters, kind_of

ROWS = 8
QUERIES = 6
# The name of a filter, the value that it asks for, and the keys of the rows that it selects.
Choice = tuple[str, Any, set[Any]]


def choices(entity: EntityClient, rows: list[Row]) -> list[Choice]:
    """Return every filter with values of the rows."""
    found = []
    for name, (column, operator) in filters(entity).items():
        stored = [row[column] for row in rows]
        values = list({str(value): value for value in stored if value is not None}.values())
        for value in asked(operator, values) if values or operator == "isnull" else ():
            kind = kind_of(entity, column)
            selected = {row["id"] for row in rows if selects(kind, operator, row[column], value)}
            found.append((name, value, selected))
    return found


def branch_of(chosen: Sequence[Choice], randomly: random.Random) -> tuple[Row, set[Any]]:
    """Return a branch of these filters, and the keys of the rows that it selects. Values are JSON or texts."""
    by_name = {choice[0]: choice for choice in chosen}
    members = {name: value if randomly.random() < 0.5 else written(value) for name, value, _ in by_name.values()}
    return members, set.intersection(*(selected for _, _, selected in by_name.values()))


def ids(page: Any) -> set[Any]:
    """Return the keys of a page."""
    return {row["id"] for row in page["items"]}


@every_entity("list")
def test_any_selects_the_rows_of_each_branch(entity: EntityClient) -> None:
    """The union of what its branches select, each with all of its filters, among the rows of the other filters."""
    rows, randomly = entity.rows(ROWS), random.Random(entity.name)  # noqa: S311  the same each time
    mine = ",".join(str(row["id"]) for row in rows)
    every = choices(entity, rows)
    got, wanted = {}, {}
    for _ in range(QUERIES):
        found = [branch_of(randomly.sample(every, size), randomly) for size in (1, 1, 2, 1, 3)]
        text = json.dumps([members for members, _ in found], ensure_ascii=randomly.random() < 0.5)
        page = entity.list(id__in=mine, size=100, any=text)
        assert page["total"] == len(page["items"])
        got[text], wanted[text] = ids(page), set.union(*(selected for _, selected in found))
    assert got == wanted


@every_entity("list", where=few)
def test_whatever_a_list_filters_takes_any(entity: EntityClient) -> None:
    """Cursors, totals, `HEAD`, exports and aggregates. A cursor keeps it: another one beside it is 422."""
    rows = entity.rows(ROWS)
    keys = [row["id"] for row in rows]
    text = json.dumps([{"id__in": keys[:2]}, {"id": keys[3]}, {"id": keys[5], "id__ne": keys[5]}])
    wanted = [keys[0], keys[1], keys[3]]
    page = entity.list(any=text, size=1)
    assert page["total"] == 3
    cursor, walked = page["next_cursor"], [page["items"][0]["id"]]
    assert entity.list(cursor=cursor, any=text)["items"]
    other = entity.call("GET", params={"cursor": cursor, "any": json.dumps([{"id": keys[0]}])})
    assert faulty_members(other) == {"cursor"}
    while page["next_cursor"]:
        page = entity.list(cursor=page["next_cursor"], size=1)
        walked += [row["id"] for row in page["items"]]
    assert walked == wanted
    lines = entity.call("GET", "/export", params={"any": text, "format": "ndjson"}).text.splitlines()
    assert [json.loads(line)["id"] for line in lines] == wanted
    sheet = csv.DictReader(io.StringIO(entity.call("GET", "/export", params={"any": text}).text))
    assert [record["id"] for record in sheet] == [str(key) for key in wanted]
    aggregate = entity.call("GET", "/aggregate", params={"any": text})
    assert aggregate.json() == {"items": [{"count": 3}]}
    assert entity.call("HEAD", params={"any": text}).status_code == 200
    assert entity.list(any=text, id=keys[1])["total"] == 1


def test_every_error_is_named_with_its_branch(shop_app: RunningApp) -> None:
    """All at once, with those of the other parameters, and with the message of the plain filter."""
    entity = shop_app.entity("books")
    branches = [
        {"price__lt": "cheap", "title": "x"},
        {"no_such": 1, "search": "x", "stock__in": [1, "x"], "price__between": 5},
        {},
        "price__lt",
        {"title__in": '"open', "stock": None, "price": [1], "title__ne": {"a": 1}, "price__in": [[1]]},
    ]
    answer = entity.call("GET", params={"any": json.dumps(branches), "stock": "many", "nope": "1"})
    faults = {tuple(fault["loc"]): fault for fault in problem(answer, 422)["errors"]}
    assert set(faults) == {
        ("query", "stock"),
        ("query", "nope"),
        ("query", "any", 0, "price__lt"),
        ("query", "any", 1, "no_such"),
        ("query", "any", 1, "search"),
        ("query", "any", 1, "stock__in", 1),
        ("query", "any", 1, "price__between"),
        ("query", "any", 2),
        ("query", "any", 3),
        ("query", "any", 4, "title__in"),
        ("query", "any", 4, "stock"),
        ("query", "any", 4, "price"),
        ("query", "any", 4, "title__ne"),
        ("query", "any", 4, "price__in"),
    }
    assert faults["query", "any", 1, "no_such"]["type"] == faults["query", "nope"]["type"] == "extra_forbidden"
    plain = entity.call("GET", params={"price__lt": "cheap", "stock__in": "1,x", "price__between": "5"})
    for fault in problem(plain, 422)["errors"]:
        _, name, *rest = fault["loc"]
        branch = 0 if name == "price__lt" else 1
        same = faults["query", "any", branch, name, *rest]
        assert (same["msg"], same["type"]) == (fault["msg"], fault["type"])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "price__lt=5",
        "[",
        "{}",
        "[]",
        '{"price__lt": 5}',
        "null",
        "5",
        '"x"',
        '[{"price": NaN}]',
        '[{"price": 1}] x',
        '[{"title": "\\ud800"}]',
        '[{"\\udfff": 1}]',
        "[" * 3000,
        json.dumps([{"price": 1}] * 11),
        json.dumps([{"title": "x" * 4000}]),
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_list_of_branches_is_422(shop_app: RunningApp, text: str) -> None:
    """No JSON, no list, none or more than ten, longer than 4,000 characters."""
    answer = shop_app.entity("books").call("GET", params={"any": text})
    assert [fault["loc"] for fault in problem(answer, 422)["errors"]] == [["query", "any"]]


def test_any_and_its_filters_are_given_once(shop_app: RunningApp) -> None:
    """As every parameter."""
    entity = shop_app.entity("books")
    twice = entity.call("GET", params=[("any", '[{"price": 1}]'), ("any", '[{"price": 2}]')])
    assert faulty_members(twice) == {"any"}
    answer = entity.call("GET", params={"any": '[{"price": 1, "price": 2}]'})
    assert [fault["loc"] for fault in problem(answer, 422)["errors"]] == [["query", "any", 0, "price"]]


def test_a_value_means_what_it_means_in_the_query(shop_app: RunningApp) -> None:
    """A number, a text and a boolean, exact decimals, and texts with commas."""
    entity = shop_app.entity("books")
    rows = [entity.make(price=price) for price in (0.1, 0.3, 12.5)]
    mine = ",".join(str(row["id"]) for row in rows)
    title = rows[0]["title"]
    for branch in (
        '{"price": 0.3}',
        '{"price": "0.3"}',
        '{"price": 3e-1}',
        '{"price__in": [0.3, "7"]}',
        '{"price__in": "0.3,7"}',
        '{"price__between": [0.2, 0.4], "title__isnull": false}',
        '{"price__between": "0.2,0.4", "title__isnull": "false"}',
    ):
        assert ids(entity.list(id__in=mine, any=f"[{branch}]")) == {rows[1]["id"]}, branch
    assert ids(entity.list(id__in=mine, any=json.dumps([{"title__in": [f"{title},", title]}]))) == {rows[0]["id"]}
    assert ids(entity.list(id__in=mine, any=json.dumps([{"max_price": 0.2}, {"min_price": 12}]))) == {
        rows[0]["id"],
        rows[2]["id"],
    }


def test_the_longest_any_fits_into_a_cursor(shop_app: RunningApp) -> None:
    """Whatever its characters."""
    entity = shop_app.entity("books")
    entity.rows(2)
    for filler in ("x", "日", '"'):
        text = json.dumps([{"price__gt": 0}, *({"author": filler * 390} for _ in range(9))], ensure_ascii=False)
        text = text if len(text) <= 4000 else json.dumps([{"price__gt": 0}, {"author": filler * 1900}])
        page = entity.list(any=text, size=1)
        assert entity.list(cursor=page["next_cursor"])["items"]


def test_the_history_takes_any(odd_app: RunningApp) -> None:
    """Also over who made a change, for callers who may change the row."""
    entity = next(
        odd_app.entity(path) for path, line in odd_app.registry.registrations.items() if line.resource.history
    )
    row = entity.make()
    path = f"/{row['id']}/history"
    for text, total in (('[{"action": "create"}, {"action": "delete"}]', 1), ('[{"action": "delete"}]', 0)):
        assert entity.call("GET", path, params={"any": text}).json()["total"] == total
    by = json.dumps([{"by": odd_app.admin_id}, {"action": "delete"}])
    assert entity.call("GET", path, params={"any": by}).json()["total"] == 1
