"""Each filter of each column selects the rows that plain Python selects.

Types, nulls, Unicode, wildcards (docs/contract.md §3).
"""

import random
from collections.abc import Iterator
from functools import cache
from typing import Any

import sqlalchemy as sa

from tests.contract.bodies import Bodies
from tests.contract.entity_client import EntityClient, Row, RunningApp
from tests.contract.list_model import MATCHES, TEXT_KINDS, operators, selects, written
from tests.contract.problems import faulty_members
from tests.contract.registrations import ODD, SAMPLES, SHOP, Api, cases_of, every_entity, few

Sort = tuple[Any, ...]
ROWS = 8
RESERVED = {"page", "size", "skip", "limit", "sort", "search", "cursor", "fields", "expand", "any"}
ARABIC_ONE = "\u0661"
NO_VALUES = {
    "integer": ("", "x", "1.5", "1_0", " 1", "+1", "1\n", ARABIC_ONE, "9" * 25, "-" + "9" * 25, "true"),
    "number": ("", "x", "nan", "inf", "1e999", "1_0", " 1", ARABIC_ONE),
    "boolean": ("", "x", "2"),
    "date-time": ("", "x", "1700000000", "2030-01-31", "2030-01-31T12:00:00", "2030-02-30T12:00:00Z", "\x00"),
    "date": ("", "x", "1700000000", "2030-02-30", "2030-01-31T12:00:00Z"),
    "time": ("", "x", "3600", "25:00", "12:00Z"),
    "duration": ("", "x", "3600", "P36501D"),
    "uuid": ("", "x", "1"),
    "enum": ("", "x", "\x00"),
    "string": ("\x00", "a\x00"),
    "email": ("\x00",),
}
# Each kind of text column: unique or not, nullable, searched, with and without a length.
WITH_TEXTS = ("books", "categories", "vehicles", "leaves", "everythings", "maybes", "reserved", "sealed", "parcels")
INVALID_UTF_8 = ("%ff", "%ed%a0%80", "%c3")
TEXTS = (
    "Ägypten", "äGYPTEN", "ΣΊΣΥΦΟΣ", "σίσυφος", "STRASSE", "straße", "100% sure", "100 per cent", "under_score", "underXscore",
    "back\\slash", "backslash", "Éclair", "eclair", "Привет", "ПРИВЕТ", "İzmir", "ﬁnance", "FINANCE", "naïve", "日本", "x%_\\y",
)  # fmt: skip
PIECES = (
    "ÄG", "äg", "ς", "Σ", "\u03c3", "ß", "ss", "SS", "%", "_", "\\", "é", "E", "прив", "ПР", "i", "fi", "本", "%_", "_\\", "100%", "r_s",
)  # fmt: skip


def filters(entity: EntityClient) -> dict[str, tuple[str, str]]:
    """Yield the documented filters, each with its column and operator."""
    found = {}
    for name in entity.parameters:
        column, _, operator = name.rpartition("__")
        if column in entity.public:
            found[name] = (column, operator)
        elif name in entity.public and name not in RESERVED:
            found[name] = (name, "eq")
    return found


def different_filters(entity: EntityClient) -> Iterator[tuple[str, str, str]]:
    """Yield the filters of the key and of the columns that no earlier entity has the like of."""
    for name, (column, operator) in filters(entity).items():
        if (entity.resource.name, column) in tried_columns(
            entity.running_app.api
        ) or column == entity.resource.key.label:
            yield name, column, operator


@cache
def tried_columns(api: Api) -> frozenset[tuple[str, str]]:
    """Return the first column of each kind with its entity: a filter depends only on the kind of its column."""
    first: dict[Sort, tuple[str, str]] = {}
    further = [case for case in cases_of(api) if api not in (ODD, SHOP)]
    for case in [*SAMPLES, *further]:
        resource, bodies = case.registration.resource, Bodies(case.api.document)
        for name, schema in (
            bodies.members(f"{resource.name}Public").items() if "list" in case.registration.operations else ()
        ):
            if name in resource.columns:
                column = resource.columns[name].column
                sort = (
                    type(column.type),
                    bodies.kind(schema),
                    column.nullable,
                    bool(column.foreign_keys),
                    name == resource.owner,
                    resource.columns[name].marks,
                    name in resource.parameters.search.columns,
                    name in RESERVED,
                )
                first.setdefault(sort, (resource.name, name))
    return frozenset(first.values())


def kind_of(entity: EntityClient, name: str) -> str:
    """Return the kind of a column."""
    return entity.running_app.bodies.kind(entity.public[name])


def asked(operator: str, values: list[Any]) -> Iterator[Any]:
    """Return the values for a filter, given stored values."""
    if operator == "isnull":
        yield from (True, False)
    elif operator in ("in", "not_in"):
        yield values[:3]
    elif operator == "between":
        yield [values[0], values[-1]]
        yield [values[-1], values[0]]
    elif operator in MATCHES:
        text = values[0].swapcase()
        yield {"contains": text[1:-1], "startswith": text[:4], "endswith": text[-4:]}[operator]
    else:
        yield values[len(values) // 2]


def chosen(entity: EntityClient, ids: list[Any], **query: str) -> list[Any]:
    """Return the ids of our rows that a list selects. Require that `total` counts them."""
    page = (
        entity.list(id__in=",".join(map(str, ids)), size=100, **query)
        if "id__in" not in query
        else entity.list(**query)
    )
    assert page["total"] == len(page["items"])
    return [row["id"] for row in page["items"]]


@every_entity("list")
def test_each_column_has_the_operators_of_its_type(entity: EntityClient) -> None:
    """And no others. A column with the name of a query parameter has its plain filter as `__eq`."""
    documented: dict[str, set[str]] = {}
    for column, operator in filters(entity).values():
        documented.setdefault(column, set()).add(operator)
    assert documented == {
        name: operators(kind_of(entity, name)) for name in entity.public if name in entity.resource.columns
    }
    reserved = {f"{name}__eq" for name in RESERVED & set(entity.public)}
    assert {name for name in filters(entity) if name.endswith("__eq")} == reserved


@every_entity("list")
def test_each_filter_selects_what_it_says(entity: EntityClient) -> None:
    """For stored values with nulls. Together with another filter, both apply."""
    rows = entity.rows(ROWS)
    ids = [row["id"] for row in rows]
    got, wanted = {}, {}
    for name, column, operator in different_filters(entity):
        kind = kind_of(entity, column)
        stored = [row[column] for row in rows]
        values = list({str(value): value for value in stored if value is not None}.values())
        for value in asked(operator, values) if values or operator == "isnull" else ():
            query = {name: written(value)}
            other = {"id__gte": str(min(ids))} if name != "id__in" and "id__gte" in entity.parameters else {}
            got[str(query)] = (
                chosen(entity, ids, **{**other, **query}) if name == "id__in" else chosen(entity, ids, **query)
            )
            wanted[str(query)] = [row["id"] for row in rows if selects(kind, operator, row[column], value)]
    assert {q: set(map(str, found)) for q, found in got.items()} == {q: set(map(str, f)) for q, f in wanted.items()}


def past_the_range(entity: EntityClient, column: str) -> tuple[str, ...]:
    """Return the numbers next to those that an integer column can store."""
    kind = entity.resource.columns[column].column.type
    sizes = ((sa.SmallInteger, 2**15), (sa.BigInteger, 2**63), (sa.Integer, 2**31))
    size = next((size for integer, size in sizes if isinstance(kind, integer)), None)
    return () if size is None else (str(size), str(-size - 1))


@every_entity("list")
def test_a_value_that_is_none_of_the_type_is_422(entity: EntityClient) -> None:
    """Each such value for equality, one of them for one operator of every kind. The error names the parameter."""
    accepted = []
    for name, column, operator in different_filters(entity):
        if operator not in ("eq", "lt", "in", "contains", "isnull"):
            continue
        kind = "boolean" if operator == "isnull" else kind_of(entity, column)
        values = (NO_VALUES[kind] if operator == "eq" else NO_VALUES[kind][-1:]) + past_the_range(entity, column)
        for value in (*values, "x" * 1001) if operator in MATCHES else values:
            answer = entity.call("GET", params={name: value})
            if answer.status_code != 422 or faulty_members(answer) != {name}:
                accepted.append((name, value, answer.status_code, answer.text[:200]))
    assert accepted == []


@every_entity("list", where=few)
def test_bytes_that_are_no_utf_8_are_422(entity: EntityClient) -> None:
    """In a name and in a value."""
    for encoded in INVALID_UTF_8:
        assert entity.call("GET", f"?id={encoded}").status_code == 422
        assert entity.call("GET", f"?{encoded}=1").status_code == 422


def text_member(entity: EntityClient) -> str:
    """Return the first member of free text that a client may set."""
    return next(name for name, schema in entity.update.items() if entity.running_app.bodies.kind(schema) == "string")


def text_rows(entity: EntityClient, member: str) -> list[Row]:
    """Create a row for each text, in no order."""
    texts = list(TEXTS)
    random.Random(7).shuffle(texts)  # noqa: S311  any order will do
    row = entity.make()
    unique = entity.resource.table.columns[member].unique
    return [entity.make(**{member: text if not unique else f"{text} of {row['id']}"}) for text in texts]


@every_entity("list", "update", where=lambda registration: registration.resource.path in WITH_TEXTS)
def test_text_is_matched_in_any_case_with_wildcards_literal(entity: EntityClient) -> None:
    """`Ä` finds `ä`, `ς` finds `Σ`, `ß` finds `SS`. `%`, `_` and the backslash match only themselves."""
    member = text_member(entity)
    rows = text_rows(entity, member)
    ids = [row["id"] for row in rows]
    got, wanted = {}, {}
    for operator in sorted(MATCHES):
        for piece in PIECES if operator == "contains" else PIECES[::4]:
            got[operator, piece] = set(chosen(entity, ids, **{f"{member}__{operator}": piece}))
            wanted[operator, piece] = {r["id"] for r in rows if selects("string", operator, r[member], piece)}
    assert got == wanted


@every_entity("list", where=lambda registration: bool(registration.resource.parameters.search.columns))
def test_search_looks_into_each_registered_column(entity: EntityClient) -> None:
    """In any case, with literal wildcards, and each row once. Other columns are not searched."""
    rows = entity.rows(ROWS)
    ids = [row["id"] for row in rows]
    columns = entity.resource.parameters.search.columns
    for column in columns:
        for row in rows[:3]:
            if row[column] is not None:
                piece = row[column][-6:].swapcase()
                found = chosen(entity, ids, search=piece)
                wanted = [r["id"] for r in rows if any(selects("string", "contains", r[c], piece) for c in columns)]
                assert sorted(map(str, found)) == sorted(map(str, wanted))
                assert row["id"] in found
    assert chosen(entity, ids, search="%%%") == chosen(entity, ids, search="\\_\\") == []
    for value in ("", "x" * 201, "\x00"):
        assert faulty_members(entity.call("GET", params={"search": value})) == {"search"}


@every_entity(
    "list", where=lambda registration: few(registration) and not registration.resource.parameters.search.columns
)
def test_an_entity_without_search_refuses_it(entity: EntityClient) -> None:
    """A search is never ignored."""
    assert faulty_members(entity.call("GET", params={"search": "x"})) == {"search"}


def test_the_cases_hold_every_kind_of_text() -> None:
    """Each text in the tables above matches some row and misses another."""
    for piece in PIECES:
        found = [text for text in TEXTS if selects("string", "contains", text, piece)]
        assert 0 < len(found) < len(TEXTS), piece
    assert TEXT_KINDS


def test_a_value_with_a_comma_stands_in_quotes(shop_app: RunningApp) -> None:
    """As in CSV: a quote in it is written twice. A quote that is not closed is 422."""
    entity = shop_app.entity("books")
    member = text_member(entity)
    texts = ("one, two", 'a "quoted" text', '"', "plain", "two\nlines, of text")
    rows = [entity.make(**{member: text}) for text in texts]
    ids = [row["id"] for row in rows]
    for row in rows:
        assert chosen(entity, ids, **{f"{member}__in": written([row[member], "other"])}) == [row["id"]]
    every = written([row[member] for row in rows])
    assert chosen(entity, ids, **{f"{member}__in": every}) == ids
    assert chosen(entity, ids, **{f"{member}__not_in": every}) == []
    for wrong in ('"open', '"closed" and more', '"a"b,c', 'a,"'):
        assert faulty_members(entity.call("GET", params={f"{member}__in": wrong})) == {f"{member}__in"}


@every_entity("list", where=few)
def test_between_takes_two_values(entity: EntityClient) -> None:
    """One or three are 422."""
    for wrong in ("1", "1,2,3", ""):
        assert faulty_members(entity.call("GET", params={"id__between": wrong})) == {"id__between"}
