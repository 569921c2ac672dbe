"""Lists: pages, `skip` and `limit`, sorting and parameters (docs/contract.md §1, §3)."""

from operator import itemgetter
from typing import Any

import sqlalchemy as sa

from rowhouse.entities.model import Mark
from tests.contract.entity_client import EntityClient, Row
from tests.contract.list_model import sorted_ids
from tests.contract.problems import faulty_members, problem
from tests.contract.registrations import columns_unlike, every_entity, few

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


def made(entity: EntityClient, count: int) -> tuple[list[Row], dict[str, str]]:
    """Return rows that no test changes, in the order of their keys, and the filter that selects them alone."""
    rows = entity.rows(count)
    return rows, {"id__in": ",".join(str(row["id"]) for row in rows)}


def ids(page: Any) -> list[Any]:
    """Return the ids of a page in their order."""
    return [row["id"] for row in page["items"]]


@every_entity("list", where=few)
def test_a_list_without_parameters_has_fifty_rows_at_most(entity: EntityClient) -> None:
    """An empty selection is an empty page, not an error."""
    page = entity.list()
    assert set(page) >= MEMBERS
    assert (page["page"], page["size"]) == (1, 50)
    row = entity.make()
    nothing = entity.list(id=row["id"], created_at__gt=row["created_at"])
    assert {name: nothing[name] for name in MEMBERS} == {"items": [], "total": 0, "page": 1, "size": 50, "pages": 0}


@every_entity("list", where=few)
def test_a_window_out_of_bounds_or_twice_is_422(entity: EntityClient) -> None:
    """The error names the parameter. `page` and `skip` exclude each other."""
    for name, values in OUT_OF_BOUNDS.items():
        for value in values:
            assert faulty_members(entity.call("GET", params={name: value})) == {name}
    for pair in (("page", "skip"), ("page", "limit"), ("size", "skip"), ("size", "limit")):
        problem(entity.call("GET", params=dict.fromkeys(pair, 1)), 422)


@every_entity("list")
def test_an_unknown_parameter_is_422(entity: EntityClient) -> None:
    """A misspelt or empty name, an operator that the type lacks, and a secret column."""
    hidden = {name for secret in entity.marked(Mark.SECRET) for name in (secret, f"{secret}__isnull", f"{secret}__in")}
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
    } - set(entity.parameters):
        assert faulty_members(entity.call("GET", params={name: "1"})) == {name}
    for secret in entity.marked(Mark.SECRET):
        assert faulty_members(entity.call("GET", params={"sort": secret})) == {"sort"}


@every_entity("list", where=few)
def test_a_repeated_parameter_is_422(entity: EntityClient) -> None:
    """Also with the same value, and for a list."""
    for query in (
        "page=1&page=1",
        "id=1&id=2",
        "sort=id&sort=-id",
        "id__in=1&id__in=2",
        "created_at__isnull=true&" * 2,
    ):
        assert faulty_members(entity.call("GET", f"?{query}")) == {query.partition("=")[0]}


@every_entity("get", "update", "put", "delete", where=few)
def test_an_operation_without_parameters_refuses_them(entity: EntityClient) -> None:
    """Before it does anything."""
    row, before = entity.make(), entity.total()
    change = entity.change(row, next(iter(entity.update)))
    for method, path, body in (
        ("GET", f"/{row['id']}", None),
        ("POST", "", entity.body()),
        ("PATCH", f"/{row['id']}", change),
        ("PUT", f"/{row['id']}", change),
        ("DELETE", f"/{row['id']}", None),
    ):
        before = entity.total()
        assert faulty_members(entity.call(method, path, params={"x": "1"}, json=body)) == {"x"}
        problem(entity.call(method, f"{path}?page=1&page=1", json=body), 422)
        assert entity.total() == before
    assert entity.stored(row) == row


@every_entity("get", "update", "put", "delete", where=lambda registration: registration.resource.path != "notices")
def test_an_id_that_no_row_can_have_is_422(entity: EntityClient) -> None:
    """Out of the range of the key, or of another type. A hand-written route parses its own."""
    row = entity.make()
    change = entity.change(row, next(iter(entity.update)))
    past = 2**63 if isinstance(entity.resource.key.columns[0].column.type, sa.BigInteger) else 2**31
    for key in ("x", "1.5", "1_0", "+1", past, -past - 1, "9" * 20, "9" * 400, "%00", "%D9%A1", "1%0A", "true"):
        assert faulty_members(entity.call("GET", f"/{key}")) == {"id"}
    for method, body in (("PATCH", change), ("PUT", change), ("DELETE", None)):
        for key in ("x", past, "9" * 20):
            assert faulty_members(entity.call(method, f"/{key}", json=body)) == {"id"}
    assert entity.stored(row) == row


@every_entity("list", where=columns_unlike)
def test_each_column_sorts_both_ways(entity: EntityClient) -> None:
    """Nulls are last ascending and first descending. The key breaks ties upwards."""
    rows, mine = made(entity, 9)
    got, wanted = {}, {}
    for name, schema in entity.public.items():
        kind = entity.running_app.bodies.kind(schema)
        if name == "updated_at":  # it is like created_at
            continue
        if kind in ("object", "array"):
            assert faulty_members(entity.call("GET", params={"sort": name})) == {"sort"}
            continue
        for sign, descending in (("", False), ("-", True)):
            got[sign + name] = ids(entity.list(**mine, sort=sign + name))
            wanted[sign + name] = sorted_ids(rows, name, kind, descending=descending, key=itemgetter("id"))
    assert got == wanted


@every_entity("list")
def test_several_columns_sort_together(entity: EntityClient) -> None:
    """From left to right. A column counts once; an unknown one, and more than eight, are 422."""
    rows, mine = made(entity, 6)
    newest_first = sorted(rows, key=lambda row: str(row["created_at"]), reverse=True)
    assert entity.list(**mine, sort="-created_at,id")["items"] == newest_first
    assert ids(entity.list(**mine, sort="id,-id,-created_at")) == [row["id"] for row in rows]
    for wrong in ("", ",", "id,", "no_such", "-", "--id", "+id", "ID", "id desc", "id;", ",".join(["id"] * 9)):
        assert faulty_members(entity.call("GET", params={"sort": wrong})) == {"sort"}


@every_entity(
    "list", where=lambda registration: registration.resource.path in ("categories", "leaves", "maybes", "vehicles")
)
def test_text_sorts_by_code_point(entity: EntityClient) -> None:
    """In every collation of the database, so that both sort alike. Comparisons agree with the sort."""
    member = next(n for n in ("name", "text", "plate") if n in entity.update)
    tail = entity.make()["id"]
    texts = [f"{text} of {tail}"[:20] if member == "plate" else f"{text} of {tail}" for text in SORTED_TEXTS]
    rows = [entity.make(**{member: text}) for text in texts]
    mine = {"id__in": ",".join(str(row["id"]) for row in rows)}
    assert [row[member] for row in entity.list(**mine, sort=member)["items"]] == sorted(texts)
    assert [row[member] for row in entity.list(**mine, sort=f"-{member}")["items"]] == sorted(texts, reverse=True)
    for text in texts:
        above = entity.list(**mine, sort=member, **{f"{member}__gt": text})["items"]
        assert [row[member] for row in above] == sorted(other for other in texts if other > text)
