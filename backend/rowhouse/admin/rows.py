"""The pages of one row: its values, its related rows, its steps, and its history with differences."""

from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import urlencode

from starlette.responses import Response

from rowhouse.admin.entity import Entity, Row
from rowhouse.admin.lists import Line, cell_of, expansion, line_of
from rowhouse.admin.visit import Visit, without
from rowhouse.core.errors import NotFoundError
from rowhouse.query.resource import Relation

RELATED = 5
ENTRIES = "20"


class RelatedRows(NamedTuple):
    """The first rows that refer to a row, or are paired with it.

    `url` is the list of them all, and `new_url` the form of another one; empty if there is none.
    """

    title: str
    entity: Entity
    lines: list[Line]
    total: int
    url: str
    new_url: str


class Difference(NamedTuple):
    """A value before and after a change."""

    label: str
    before: str
    after: str


class Entry(NamedTuple):
    """One change of a row."""

    action: str
    at: str
    by: str
    differences: list[Difference]


async def show_row(visit: Visit, entity: Entity, key: str) -> Response:
    """Show a row. For one that is missing, offer to restore it if the entity keeps its deleted rows."""
    row, tag = await read_row(visit, entity, key)
    if row is None:
        can_restore = entity.resource.soft_delete and entity.may_change(visit.caller)
        return visit.render(
            "missing.html", status=NotFoundError.status, entity=entity, key=key, can_restore=can_restore
        )
    return visit.render("row.html", **await context_of(visit, entity, row, tag), faults=[])


async def context_of(visit: Visit, entity: Entity, row: Row, tag: str) -> dict[str, Any]:
    """Return what the page of a row shows."""
    relations = [one for one in entity.related(visit.caller) if row.get(one.local) is not None]
    related = [await _related(visit, entity, row, relation) for relation in relations]
    return {
        "entity": entity,
        "key": entity.key_of(row),
        "title": entity.title_of(row),
        "tag": tag,
        "cells": [cell_of(visit, entity, row, field) for field in entity.fields.values()],
        "related": related,
        "steps": entity.steps(row, visit.caller),
    }


async def read_row(visit: Visit, entity: Entity, key: str) -> tuple[Row | None, str]:
    """Return a row with the rows that it refers to, and its entity tag. None if it does not exist.

    The row has its written links too, such as `tag_ids`, which the API shows as related rows.
    """
    links = entity.links(visit.caller)
    names = [one.name for one in (*entity.expanded(visit.caller), *links)]
    query = urlencode({"expand": ",".join(names)}) if names else ""
    answer = await visit.api.call("GET", entity.row_path(key), query=query)
    if answer.status == NotFoundError.status:
        return None, ""
    row = visit.success(answer).json()
    written = {one.member: [other[one.remote] for other in row[one.name] or ()] for one in links}
    return row | written, answer.headers.get("etag", "")


async def _related(visit: Visit, entity: Entity, row: Row, relation: Relation) -> RelatedRows:
    target = visit.site.entity_of(entity, relation.target.model)
    title = relation.name.replace("_", " ").capitalize()
    if relation.link is not None:  # no column of the related rows names this one
        query = urlencode({"expand": relation.name, "fields": relation.local})
        found = (await visit.api.get(entity.row_path(entity.key_of(row)), query=query)).json().get(relation.name) or []
        return RelatedRows(title, target, [line_of(visit, target, one) for one in found[:RELATED]], len(found), "", "")
    value = str(row[relation.local])
    refers = [(target.equals(relation.remote), value)]
    asked = [*refers, ("size", str(RELATED)), *expansion(visit, target)]
    page = (await visit.api.get(target.api_path, query=urlencode(asked))).json()
    fields = [field for field in target.columns if field.name != relation.remote]
    lines = [line_of(visit, target, found, fields) for found in page["items"]]
    has_place = relation.many or not page["total"]
    is_made_here = has_place and relation.remote in target.create_fields and target.allows(visit.caller, "create")
    new_url = visit.url(target.slug, "new", query=[(relation.remote, value)]) if is_made_here else ""
    return RelatedRows(title, target, lines, page["total"], visit.list_url(target, refers), new_url)


async def show_history(visit: Visit, entity: Entity, key: str) -> Response:
    """Show the changes of a row, the newest first. It remains when the row is deleted."""
    query = [*without(visit.query, "sort"), ("sort", "-id"), ("size", ENTRIES)]
    page = (await visit.api.get(f"{entity.row_path(key)}/history", query=urlencode(query))).json()
    names = await _names_of(visit, {entry["by"] for entry in page["items"] if entry["by"] is not None})
    entries = [
        Entry(entry["action"], entry["at"], names.get(entry["by"], ""), _differences(visit, entity, entry))
        for entry in page["items"]
    ]
    is_deleted = bool(entries) and entries[0].action == "delete" and "cursor" not in dict(visit.query)
    can_restore = is_deleted and entity.resource.soft_delete and entity.may_change(visit.caller)
    following = [("cursor", page["next_cursor"])] if page["next_cursor"] else []
    url = f"{visit.row_url(entity, key, 'history')}?{urlencode(following)}"
    return visit.render(
        "history.html", entity=entity, key=key, entries=entries, is_deleted=is_deleted, can_restore=can_restore,
        next_url=url if following else "",
    )  # fmt: skip


def _differences(visit: Visit, entity: Entity, entry: Mapping[str, Any]) -> list[Difference]:
    """Return the values that a change has set, changed or removed."""
    before, after = entry["before"] or {}, entry["after"] or {}
    found = []
    for name, field in entity.fields.items():
        was, became = (field.shown(state[name], visit.zone) if name in state else "" for state in (before, after))
        if was != became and not (before and after and name == entity.resource.updated):
            found.append(Difference(field.label, was, became))
    return found


async def _names_of(visit: Visit, accounts: set[int]) -> dict[int, str]:
    """Return the addresses of accounts, where the caller may read them; else their numbers."""
    names = {account: f"account {account}" for account in accounts}
    users = next((entity for entity in visit.entities() if entity.resource.table.name == "users"), None)
    if users is not None and accounts:
        query = urlencode({"id__in": ",".join(map(str, sorted(accounts))), "size": 100})
        page = (await visit.api.get(users.api_path, query=query)).json()
        names |= {row["id"]: row["email"] for row in page["items"]}
    return names
