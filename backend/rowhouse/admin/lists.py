"""The lists: a page of rows with filters, search and sort, the deleted rows, and the look-up of foreign keys.

The address of a list has the parameters of the API's own list, so every filter of the API works here. The parameters of
the page itself begin with `_`, which no column does.
"""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from starlette.responses import Response

from rowhouse.admin.entity import Entity, Row
from rowhouse.admin.fields import INTEGER, Field, Kind, Table, instant_of, label_of, table_of
from rowhouse.admin.internal_api import ApiError
from rowhouse.admin.visit import HEADERS, Query, Visit, without
from rowhouse.core.errors import InvalidInputError, NotFoundError
from rowhouse.query.filters import PAGE_WORDS

SIZE = "25"
FOUND = 10
# Parameters of the page itself: the filter to add with its value, and the total that the first page has counted.
FILTER, VALUE, TOTAL = "_filter", "_value", "_total"
OPERATORS = {
    "": "is", "eq": "is", "ne": "is not", "lt": "less than", "lte": "at most", "gt": "greater than", "gte": "at least",
    "in": "is one of", "not_in": "is not one of", "isnull": "is empty (true, false)", "contains": "contains",
    "startswith": "starts with", "endswith": "ends with",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cell:
    """One value of a row, with the address of the row that it refers to."""

    field: Field
    text: str
    url: str = ""
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a list."""

    key: str
    title: str
    url: str
    cells: list[Cell]


@dataclass(frozen=True, slots=True)
class Heading:
    """One column of a list, with the address that sorts by it."""

    field: Field
    url: str
    direction: str


async def show_list(visit: Visit, entity: Entity) -> Response:
    """Show a page of the rows that the filters select."""
    chosen = dict(visit.query)
    if chosen.get(FILTER):
        return _with_filter(visit, entity, chosen[FILTER], chosen.get(VALUE, ""))
    query = [(name, value) for name, value in without(visit.query, FILTER, VALUE, TOTAL) if value]
    answer = await visit.api.call("GET", entity.api_path, query=urlencode(_asked(visit, entity, query)))
    faults: list[Any] = []
    page: dict[str, Any] = {"items": [], "total": None, "next_cursor": None}
    if answer.is_success:
        page = answer.json()
    elif answer.status == InvalidInputError.status:
        faults = [f"{'.'.join(map(str, fault['loc'][1:]))}: {fault['msg']}" for fault in answer.problem()["errors"]]
    else:
        raise ApiError(answer)
    total = chosen.get(TOTAL, "") if page["total"] is None else str(page["total"])
    following = [*without(query, "cursor", "page"), ("cursor", page["next_cursor"]), (TOTAL, total)]
    return visit.render(
        "list.html",
        entity=entity,
        faults=faults,
        headings=[_heading(visit, entity, query, field) for field in entity.columns],
        lines=[line_of(visit, entity, row) for row in page["items"]],
        total=total,
        is_estimate=page.get("total_is_estimate", False),
        search=chosen.get("search", ""),
        kept=without(query, "search", "cursor", "page"),
        filters=_filters(visit, entity, query),
        choices=_choices(visit, entity),
        next_url=visit.list_url(entity, following) if page["next_cursor"] else "",
        first_url=visit.list_url(entity, without(query, "cursor", "page")) if "cursor" in chosen else "",
        export_query=without(query, "cursor", "page", "size", "skip", "limit"),
    )


def first_page(query: Query) -> list[tuple[str, str]]:
    """Return the parameters of the first page of the same list."""
    return without(query, "cursor", "page", TOTAL)


def _asked(visit: Visit, entity: Entity, query: Query) -> list[tuple[str, str]]:
    """Return the parameters of the API's list: those of the page, its size, and the names of related rows."""
    asked = list(query)
    if not any(name in ("size", "limit") for name, _ in asked):
        asked.append(("size", SIZE))
    return [*asked, *expansion(visit, entity)]


def expansion(visit: Visit, entity: Entity) -> list[tuple[str, str]]:
    """Return the parameter that embeds the rows that a row refers to."""
    names = ",".join(relation.name for relation in entity.expanded(visit.caller))
    return [("expand", names)] if names else []


def _with_filter(visit: Visit, entity: Entity, name: str, value: str) -> Response:
    """Return a redirect to the list with one filter more, from the first page on."""
    column = name.partition("__")[0]
    found = entity.fields.get(column)
    if found is not None and found.kind is Kind.INSTANT and not name.endswith("__isnull"):
        value = ",".join(instant_of(part.strip(), visit.zone) for part in value.split(","))
    kept = without(visit.query, FILTER, VALUE, TOTAL, "cursor", "page", name)
    return visit.redirect(visit.list_url(entity, [*kept, (name, value)]))


def _heading(visit: Visit, entity: Entity, query: Query, field: Field) -> Heading:
    """Return a column. Its address sorts by it, or turns its order round."""
    sort = dict(query).get("sort", "")
    direction = {field.name: "ascending", f"-{field.name}": "descending"}.get(sort, "")
    if field.name not in entity.resource.parameters.sortable:
        return Heading(field, "", direction)
    other = f"-{field.name}" if direction == "ascending" else field.name
    return Heading(
        field, visit.list_url(entity, [*without(query, "sort", "cursor", "page"), ("sort", other)]), direction
    )


def line_of(visit: Visit, entity: Entity, row: Row, fields: list[Field] | None = None) -> Line:
    """Return a row of a list."""
    shown = entity.columns if fields is None else fields
    key = entity.key_of(row)
    url = visit.row_url(entity, key) if entity.allows(visit.caller, "get") else ""
    return Line(key, entity.title_of(row), url, [cell_of(visit, entity, row, field, is_short=True) for field in shown])


def cell_of(visit: Visit, entity: Entity, row: Row, field: Field, *, is_short: bool = False) -> Cell:
    """Return a value of a row. A reference shows the name of its row and leads there."""
    value = row.get(field.name)  # a hand-written route may leave it out
    for relation in entity.expanded(visit.caller):
        embedded = row.get(relation.name)
        if relation.local == field.name and embedded:
            target = visit.site.entity_of(entity, relation.target.model)
            url = visit.row_url(target, target.key_of(embedded)) if target.allows(visit.caller, "get") else ""
            return Cell(field, target.title_of(embedded), url)
    if is_short:
        return Cell(field, field.shortened(value, visit.zone), _url_of(visit, entity, field, value))
    return Cell(field, field.shown(value, visit.zone), _url_of(visit, entity, field, value), table_of(value))


def _url_of(visit: Visit, entity: Entity, field: Field, value: Any) -> str:
    """Return the address of the row that a foreign key without a relation refers to, or ""."""
    target, column = entity.references.get(field.name, (entity, ""))
    is_key = value is not None and target.resource.key.names == (column,)
    relations = [one.local for one in entity.expanded(visit.caller)]
    if not is_key or field.name in relations or not target.allows(visit.caller, "get"):
        return ""
    return visit.row_url(target, target.key_of({column: value}))


def _choices(visit: Visit, entity: Entity) -> dict[str, list[tuple[str, str]]]:
    """Return the filters of an entity by the label of their column, and those by the names of related rows."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name in entity.resource.parameters.filters:
        column, _, operator = name.rpartition("__") if "__" in name else (name, "", "")
        found.setdefault(label_of(column), []).append((name, OPERATORS.get(operator, operator)))
    for relation in entity.readable(visit.caller):
        inner = f"{visit.site.entity_of(entity, relation.target.model).title_column}__contains"
        if inner in relation.target.parameters.filters:
            found.setdefault(label_of(relation.name), []).append((f"{relation.name}__{inner}", "name contains"))
    return found


def _filters(visit: Visit, entity: Entity, query: Query) -> list[tuple[str, str]]:
    """Return the filters in force as text, each with the address of the list without it."""
    texts = {name: f"{label} {operator}" for label, ones in _choices(visit, entity).items() for name, operator in ones}
    return [
        (f"{texts.get(name, name)} {value}", visit.list_url(entity, without(query, name, "cursor", "page")))
        for name, value in query
        if name not in PAGE_WORDS
    ]


async def show_deleted(visit: Visit, entity: Entity) -> Response:
    """Show a page of the deleted rows, which can be restored.

    Raises:
        NotFoundError: the API does not list the deleted rows of this entity.
    """
    if not entity.has_deleted_list:
        raise NotFoundError
    query = without(visit.query, TOTAL)
    page = (await visit.api.get(f"{entity.api_path}/deleted", query=urlencode([*query, ("size", SIZE)]))).json()
    following = [*without(query, "cursor"), ("cursor", page["next_cursor"])]
    fields = [field for field in entity.columns if all(field.name in row for row in page["items"])]
    return visit.render(
        "deleted.html",
        entity=entity,
        fields=fields,
        lines=[line_of(visit, entity, row, fields) for row in page["items"]],
        total=page["total"],
        next_url=visit.url(entity.slug, "deleted", query=following) if page["next_cursor"] else "",
    )


async def look_up(visit: Visit, entity: Entity) -> Response:
    """Return the rows that a text finds, for a foreign key, as JSON: the value of the column `column`, and a name.

    Raises:
        NotFoundError: the entity has no such column.
    """
    asked = dict(visit.query)
    text, column = asked.get("q", "").strip(), asked.get("column", entity.resource.key.names[0])
    if column not in entity.fields:
        raise NotFoundError
    found: dict[str, str] = {}
    for query in _searches(entity, text, column):
        answer = await visit.api.call("GET", entity.api_path, query=urlencode({**query, "size": FOUND}))
        rows = answer.json()["items"] if answer.is_success else []
        found |= {str(row[column]): entity.title_of(row) for row in rows if row.get(column) is not None}
    items = [{"value": value, "label": label} for value, label in found.items()]
    return visit.finish(Response(json.dumps(items[:FOUND]).encode(), headers=HEADERS, media_type="application/json"))


def _searches(entity: Entity, text: str, column: str) -> list[dict[str, str]]:
    """Return the queries for a text: the value itself, then what the entity is searched by."""
    if not text:
        return [{}]
    is_value = entity.fields[column].kind is not Kind.INTEGER or INTEGER.fullmatch(text) is not None
    queries = [{entity.equals(column): text}] if is_value else []
    if entity.is_searched:
        return [*queries, {"search": text}]
    title = entity.title_column
    return [*queries, {f"{title}__contains": text}] if title and title in entity.resource.columns else queries
