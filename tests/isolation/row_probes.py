"""Probes beyond pages and single writes: projections, files, restore and history. See `test_ownership`."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

from rowhouse.operations.history_endpoints import ENTRIES
from rowhouse.query.resource import Relation
from tests.contract.entity_client import EntityClient, Row
from tests.contract.list_model import written
from tests.isolation.probes import (
    NO_FILTERS,
    Probe,
    Secret,
    bodies_that_name,
    filter_value,
    joined,
    leading_over,
    leading_to,
    relations,
    selections,
)

CHOICES = {"enum", "const"}
ENTRY_MEMBERS = ("id", "action", "at", "by", "before", "after")


def views(secret: Secret) -> Iterator[dict[str, str]]:
    """What `fields` and `expand` make of a row: its id alone, all of it, with each relation in it, and with two hops."""
    yield {"fields": "id"}
    yield {"fields": ",".join(secret.entity.public)}
    found = relations(secret.entity.running_app)
    for name, relation in found[secret.entity.resource.path].items():
        yield {"expand": name}
        yield {"fields": "id", "expand": name}
        for further in found[relation.target.path]:
            yield {"expand": f"{name}.{further}"}


def embedding(secret: Secret) -> Iterator[Probe]:
    """From the rows of any entity that would embed the row, those that the stranger sees and those that nobody but them does."""
    for entity, relation in leading_over(secret.entity):
        link = relation.link
        assert link is not None
        yield Probe("GET", options={"params": {"sort": "-id", "expand": relation.name}}, entity=entity)
        for name, value in ((relation.remote, secret.row[link.far]), (f"{relation.remote}__isnull", "false")):
            query = {f"{relation.name}__{name}": value, "sort": "-id"}
            yield Probe("GET", options={"params": query}, entity=entity)
            yield Probe("GET", "/aggregate", {"params": {**query, "group_by": "id"}}, entity)
    for entity, relation in leading_to(secret.entity):
        yield Probe("GET", options={"params": {"sort": "-id", "expand": relation.name}}, entity=entity)
        for far, first in leading_to(entity):
            query = {"sort": "-id", "expand": f"{first.name}.{relation.name}"}
            yield Probe("GET", options={"params": query}, entity=far)
        branches = list(filters_by(secret, relation.name))
        for found in (*branches, *joined(branches), *sorts_by(secret, relation)):
            yield Probe("GET", options={"params": {"sort": "-id", **found}}, entity=entity)
        value = secret.row[relation.remote]
        if value is None:
            continue
        query = {relation.local: value, "expand": relation.name}
        yield Probe("GET", options={"params": query}, entity=entity)
        yield Probe("GET", options={"params": {**query, "fields": "id"}}, entity=entity)
        if relation.local == "id":
            yield Probe("GET", f"/{value}", {"params": {"expand": relation.name}}, entity)


def sorts_by(secret: Secret, relation: Relation) -> Iterator[dict[str, str]]:
    """The sorts of another entity's list by a column of the row, if it leads to one row."""
    for column in secret.entity.resource.parameters.sortable if relation.is_parent else ():
        yield {"sort": f"{relation.name}__{column},-id"}


def filters_by(secret: Secret, relation: str) -> Iterator[dict[str, str]]:
    """The filters of another entity's list that select what is related to the row, by each of its values."""
    for column in secret.entity.public:
        value = secret.row[column]
        if value is not None and not isinstance(value, (dict, list)):
            yield {f"{relation}__{column}": written(value)}


def probes_of_export(secret: Secret) -> Iterator[Probe]:
    """Everything, each filter for equality, sort and search, and `fields`, in either format.

    The operators of columns are those of the list.
    """
    operated = {name for name in secret.entity.parameters if "__" in name}
    selected = [query for query in selections(secret) if not query.keys() & operated]
    queries = [{}, *selected, *({"fields": name} for name in (*secret.entity.public, "id,created_at"))]
    for number, query in enumerate(queries):
        yield Probe("GET", "/export", {"params": {**query, "format": ("csv", "ndjson")[number % 2]}})
    yield Probe("GET", "/export", {"params": {"format": "csv"}})
    yield Probe("GET", "/export", {"params": {"format": "ndjson"}})
    yield Probe("GET", "/export", {"params": {"format": "ndjson", "cursor": secret.cursors[0]}})


def probes_of_aggregate(secret: Secret) -> Iterator[Probe]:
    """Counts by each column's value, relation and search, functions of all columns, groups by each, cut and sorted.

    The operators of columns are those of the list.
    """
    operated = {name for name in secret.entity.parameters if "__" in name}
    for query in ({}, *selections(secret)):
        if not query.keys() & {"sort", *operated}:
            yield Probe("GET", "/aggregate", {"params": query})
    parameters = secret.entity.running_app.document["paths"][f"{secret.entity.path}/aggregate"]["get"]["parameters"]
    items = {parameter["name"]: parameter["schema"].get("items", {}) for parameter in parameters}
    names = {name: schema.get("enum") or [schema["const"]] for name, schema in items.items() if schema.keys() & CHOICES}
    queries: list[dict[str, Any]] = [
        {function: ",".join(names[function]), **more}
        for function in ("sum", "avg", "min", "max")
        for more in ({}, {"id": secret.row["id"]})
    ]
    queries += [{"group_by": name, "count": "", "max": "id", "sort": f"-{name}"} for name in names["group_by"]]
    queries += [{"group_by": "id", "sort": "-id", "skip": skip, "limit": 1} for skip in range(4)]
    for query in queries:
        yield Probe("GET", "/aggregate", {"params": query})


def probes_of_deleted(secret: Secret) -> Iterator[Probe]:
    """All of them, by key and by instant, windows, and cursors of another list."""
    created = secret.row["created_at"]
    queries: list[dict[str, Any]] = [{}, {"size": 1}, {"skip": 1, "limit": 1}, {"page": 9}, {"fields": "id"}]
    queries += [{"id": secret.row["id"]}, {"deleted_at__gte": created}, {"deleted_at__lte": created}]
    queries += [{"cursor": cursor} for cursor in secret.cursors[:1]]
    for query in queries:
        yield Probe("GET", "/deleted", {"params": query})


def probes_of_import(secret: Secret) -> Iterator[Probe]:
    """Files in both formats whose rows name the row, alone and behind one that could be stored."""
    for entity, body in bodies_that_name(secret):
        target = entity or secret.entity
        good = {**{name: [] for name in target.links}, **target.body()}
        for rows in ([body], [{name: good.get(name) for name in body}, body]):
            for on in ({}, *({"on": key} for key in unique_keys(target))):
                yield Probe("POST", "/import", {**file_of(rows), "params": on}, entity)
            if not body.keys() & target.links.keys():  # links stand in NDJSON alone
                yield Probe("POST", "/import", _file("text/csv", sheet(rows)), entity)


def unique_keys(entity: EntityClient) -> list[str]:
    """The values of `on`, as the document has them."""
    parameters = entity.running_app.document["paths"][f"{entity.path}/batch"].get("post", {}).get("parameters", ())
    return [key for one in parameters if one["name"] == "on" for key in one["schema"]["enum"]]


def file_of(rows: Sequence[Row]) -> Row:
    """The options of a request that imports rows as NDJSON."""
    return _file("application/x-ndjson", lines(rows))


def _file(media_type: str, content: str) -> Row:
    return {"content": content.encode(), "extra": {"Content-Type": media_type}}


def lines(rows: Sequence[Row]) -> str:
    """NDJSON."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def sheet(rows: Sequence[Row]) -> str:
    """CSV with the columns of the first row."""
    text = io.StringIO(newline="")
    csv.writer(text).writerows([list(rows[0]), *([cell(value) for value in row.values()] for row in rows)])
    return text.getvalue()


def cell(value: Any) -> str:
    """A value as a sheet has it."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)


def probes_of_restore(secret: Secret) -> Iterator[Probe]:
    """As it is asked for, with a version, with a body, and with a query."""
    asked: list[Row] = [{}, {"extra": {"If-Match": secret.tag}}, {"json": {}}, {"params": {"id": secret.row["id"]}}]
    for options in asked:
        yield Probe("POST", f"{secret.path}/restore", options)


def probes_of_history(secret: Secret) -> Iterator[Probe]:
    """All of it, each filter by its last entry, each sort, windows, and cursors into it and into the stranger's row's own."""
    path = f"{secret.path}/history"
    queries: list[dict[str, Any]] = [
        {},
        {"nope": 1},
        {"size": 1},
        {"skip": 1, "limit": 1},
        {"page": 9},
        {"fields": "id"},
    ]
    for parameter in ENTRIES.parameters.openapi:
        name = parameter["name"]
        if name not in NO_FILTERS:
            queries.append({name: filter_value(secret.entries[-1], name)})
    queries.append({"any": json.dumps([{"id": secret.entries[-1]["id"]}, {"action": "create"}])})
    queries += [{"sort": sign + name} for name in ("id", "at", "by") for sign in ("", "-")]
    queries += [{"cursor": cursor} for cursor in (*secret.entry_cursors, *secret.cursors[:1])]
    for query in queries:
        yield Probe("GET", path, {"params": query})
    for cursor in secret.entry_cursors:
        yield Probe("GET", f"/{secret.own['id']}/history", {"params": {"cursor": cursor}})
