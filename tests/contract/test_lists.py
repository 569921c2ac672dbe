"""Pages, windows, order and parameters of a list (docs/contract.md §1, §3)."""

from typing import Any

import sqlalchemy as sa

from rowhouse.entities.model import Mark
from tests.contract.entity_client import House, Row
from tests.contract.list_model import sorted_ids
from tests.contract.problems import faulty_members, problem
from tests.contract.registrations import columns_unlike, every_house

MEMBERS = {"items", "total", "page", "size", "pages"}
SORTED_TEXTS = (
    "Zebra",
    "apple",
    "Äpfel",
    "zebra",
    "Apple",
    "äpfel",
    "éclair",
    "_",
    "-",
    "a b",
    "a-b",
    "ab",
    "aB",
    "😀",
    "\uff5a",
    "10",
    "9",
)
OUT_OF_BOUNDS = {
    "page": ("0", "-1", "", "x", "1.5", "1_0", "+1", " 1", "1\n", "1000000001", "9" * 30),
    "size": ("0", "-1", "101", "", "x", "9" * 30),
    "skip": ("-1", "1000000001", "", "x", "9" * 30),
    "limit": ("0", "-1", "101", "", "x", "9" * 30),
}


def made(house: House, count: int) -> tuple[list[Row], dict[str, str]]:
    """Rows that no test changes, in the order of their keys, and the filter that selects them alone."""
    rows = house.rows(count)
    return rows, {"id__in": ",".join(str(row["id"]) for row in rows)}


def ids(page: Any) -> list[Any]:
    """The ids of a page in their order."""
    return [row["id"] for row in page["items"]]


@every_house("list")
def test_pages_hold_every_row_once_in_the_order_of_the_key(house: House) -> None:
    """`total` and `pages` are exact on each page, also past the last."""
    rows, mine = made(house, 5)
    seen = []
    for number, count in ((1, 2), (2, 2), (3, 1), (4, 0), (1_000_000_000, 0)):
        page = house.list(**mine, page=number, size=2)
        assert {name: page[name] for name in MEMBERS - {"items"}} == {"total": 5, "page": number, "size": 2, "pages": 3}
        assert len(page["items"]) == count
        seen += page["items"]
    assert seen == rows


@every_house("list")
def test_skip_and_limit_are_a_window(house: House) -> None:
    """Each also by itself; `page` and `size` tell where the window lies."""
    rows, mine = made(house, 5)
    page = house.list(**mine, skip=2, limit=2)
    assert page["items"] == rows[2:4]
    assert (page["total"], page["page"], page["size"], page["pages"]) == (5, 2, 2, 3)
    assert house.list(**mine, skip=4)["items"] == rows[4:]
    assert house.list(**mine, limit=1)["items"] == rows[:1]
    assert house.list(**mine, skip=5)["items"] == []


@every_house("list")
def test_a_list_without_parameters_has_fifty_rows_at_most(house: House) -> None:
    """And says so; a selection of nothing is an empty page, not an error."""
    page = house.list()
    assert set(page) >= MEMBERS
    assert (page["page"], page["size"]) == (1, 50)
    row = house.make()
    nothing = house.list(id=row["id"], created_at__gt=row["created_at"])
    assert {name: nothing[name] for name in MEMBERS} == {"items": [], "total": 0, "page": 1, "size": 50, "pages": 0}


@every_house("list")
def test_a_window_out_of_bounds_or_twice_is_422(house: House) -> None:
    """The answer names the parameter; `page` and `skip` do not go together."""
    for name, values in OUT_OF_BOUNDS.items():
        for value in values:
            assert faulty_members(house.call("GET", params={name: value})) == {name}
    for pair in (("page", "skip"), ("page", "limit"), ("size", "skip"), ("size", "limit")):
        problem(house.call("GET", params=dict.fromkeys(pair, 1)), 422)


@every_house("list")
def test_an_unknown_parameter_is_422(house: House) -> None:
    """Misspelt, of another operator, of a hidden column, or empty."""
    hidden = {name for secret in house.marked(Mark.SECRET) for name in (secret, f"{secret}__isnull", f"{secret}__in")}
    for name in {
        "offset",
        "id__like",
        "id__contains",
        "no_such",
        "Page",
        "page__eq",
        "",
        "id__",
        "__in",
        *hidden,
    } - set(house.parameters):
        assert faulty_members(house.call("GET", params={name: "1"})) == {name}
    for secret in house.marked(Mark.SECRET):
        assert faulty_members(house.call("GET", params={"sort": secret})) == {"sort"}


@every_house("list")
def test_a_repeated_parameter_is_422(house: House) -> None:
    """Also with the same value, also a list."""
    for query in (
        "page=1&page=1",
        "id=1&id=2",
        "sort=id&sort=-id",
        "id__in=1&id__in=2",
        "created_at__isnull=true&" * 2,
    ):
        assert faulty_members(house.call("GET", f"?{query}")) == {query.partition("=")[0]}


@every_house("get", "update", "put", "delete")
def test_an_operation_without_parameters_refuses_them(house: House) -> None:
    """Before it does anything."""
    row, before = house.make(), house.total()
    change = house.change(row, next(iter(house.update)))
    for method, path, body in (
        ("GET", f"/{row['id']}", None),
        ("POST", "", house.body()),
        ("PATCH", f"/{row['id']}", change),
        ("PUT", f"/{row['id']}", change),
        ("DELETE", f"/{row['id']}", None),
    ):
        before = house.total()
        assert faulty_members(house.call(method, path, params={"x": "1"}, json=body)) == {"x"}
        problem(house.call(method, f"{path}?page=1&page=1", json=body), 422)
        assert house.total() == before
    assert house.stored(row) == row


@every_house("get", "update", "put", "delete", where=lambda registration: registration.resource.path != "notices")
def test_an_id_that_no_row_can_have_is_422(house: House) -> None:
    """Out of the key's range, or of another type; a hand-written route parses its own."""
    row = house.make()
    change = house.change(row, next(iter(house.update)))
    past = 2**63 if isinstance(house.plan.key.column.type, sa.BigInteger) else 2**31
    for key in ("x", "1.5", "1_0", "+1", past, -past - 1, "9" * 20, "9" * 400, "%00", "%D9%A1", "1%0A", "true"):
        assert faulty_members(house.call("GET", f"/{key}")) == {"id"}
    for method, body in (("PATCH", change), ("PUT", change), ("DELETE", None)):
        for key in ("x", past, "9" * 20):
            assert faulty_members(house.call(method, f"/{key}", json=body)) == {"id"}
    assert house.stored(row) == row


@every_house("list", where=columns_unlike)
def test_each_column_sorts_both_ways(house: House) -> None:
    """Nulls last ascending and first descending; the key breaks ties upwards."""
    rows, mine = made(house, 9)
    got, wanted = {}, {}
    for name, schema in house.public.items():
        kind = house.world.bodies.kind(schema)
        if name == "updated_at":  # it is like created_at
            continue
        if kind in ("object", "array"):
            assert faulty_members(house.call("GET", params={"sort": name})) == {"sort"}
            continue
        for sign, descending in (("", False), ("-", True)):
            got[sign + name] = ids(house.list(**mine, sort=sign + name))
            wanted[sign + name] = sorted_ids(rows, name, kind, descending=descending)
    assert got == wanted


@every_house("list")
def test_several_columns_sort_together(house: House) -> None:
    """From left to right; a column named twice counts once; an unknown one is 422, and so are more than eight."""
    rows, mine = made(house, 6)
    newest_first = sorted(rows, key=lambda row: str(row["created_at"]), reverse=True)
    assert house.list(**mine, sort="-created_at,id")["items"] == newest_first
    assert ids(house.list(**mine, sort="id,-id,-created_at")) == [row["id"] for row in rows]
    for wrong in ("", ",", "id,", "no_such", "-", "--id", "+id", "ID", "id desc", "id;", ",".join(["id"] * 9)):
        assert faulty_members(house.call("GET", params={"sort": wrong})) == {"sort"}


@every_house(
    "list", where=lambda registration: registration.resource.path in ("categories", "leaves", "maybes", "vehicles")
)
def test_text_sorts_by_code_point(house: House) -> None:
    """Whatever the database's own collation, so that both sort alike; the comparisons agree with the sort."""
    member = next(n for n in ("name", "text", "plate") if n in house.update)
    tail = house.make()["id"]
    texts = [f"{text} of {tail}"[:20] if member == "plate" else f"{text} of {tail}" for text in SORTED_TEXTS]
    rows = [house.make(**{member: text}) for text in texts]
    mine = {"id__in": ",".join(str(row["id"]) for row in rows)}
    assert [row[member] for row in house.list(**mine, sort=member)["items"]] == sorted(texts)
    assert [row[member] for row in house.list(**mine, sort=f"-{member}")["items"]] == sorted(texts, reverse=True)
    for text in texts:
        above = house.list(**mine, sort=member, **{f"{member}__gt": text})["items"]
        assert [row[member] for row in above] == sorted(other for other in texts if other > text)
