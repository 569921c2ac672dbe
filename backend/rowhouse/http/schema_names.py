"""Keeps the names in one OpenAPI document unique where an application serves several registries.

The names of the first registry stay as they are. An operation of a later one whose name is taken gets a suffix from the
registry's prefix: `list_books_v2` below `/api/v2`. So does a schema that differs: `BookPublicV2`. Equal schemas share
one name, so that a generated client has one type for them.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from fastapi.routing import APIRoute

REFERENCE = re.compile(r'"#/components/schemas/([^"]+)"')
WORD = re.compile(r"[A-Za-z0-9]+")
Schemas = dict[str, Any]


def suffix_of(prefix: str, others: Collection[str]) -> str:
    """Return the last segments of a prefix that no other ends with: `v2` of `/api/v2`, `root` of the empty one."""
    words = WORD.findall(prefix) or ["root"]
    endings = [WORD.findall(other) for other in others]
    for number in range(1, len(words)):
        if all(ending[-number:] != words[-number:] for ending in endings):
            return "_".join(words[-number:])
    return "_".join(words)


def make_operation_ids_unique(parts: Mapping[str, Sequence[APIRoute]]) -> None:
    """Give every documented route a unique operation id.

    Raises:
        ValueError: at start-up, for two operations with one name in a registry.
    """
    taken: dict[str, tuple[str, APIRoute]] = {}
    for prefix, part in parts.items():
        suffix = suffix_of(prefix, parts.keys() - {prefix})
        for route in part:
            if not route.include_in_schema:
                continue
            if route.unique_id in taken and taken[route.unique_id][0] != prefix:
                _rename(route, f"{route.unique_id}_{suffix}")
            if route.unique_id in taken:
                first = taken[route.unique_id][1]
                raise ValueError(
                    f"{_described(first)} and {_described(route)} are both the operation {route.unique_id}, "
                    "which names a function of generated clients: rename one of the functions or classes, "
                    "or give the route an operation_id"
                )
            taken[route.unique_id] = prefix, route


def _rename(route: APIRoute, name: str) -> None:
    if route.name == route.unique_id:
        route.name = name
    route.operation_id = route.unique_id = name


def _described(route: APIRoute) -> str:
    return f"{'/'.join(sorted(route.methods or ()))} {route.path}"


def add_part(document: dict[str, Any], part: dict[str, Any], *, suffix: str) -> None:
    """Add the paths and components of another registry's document. A schema that differs gets the suffix."""
    components = document.setdefault("components", {})
    taken: Schemas = components.setdefault("schemas", {})
    names = _new_names(
        taken, part.get("components", {}).get("schemas", {}), "".join(map(str.capitalize, suffix.split("_")))
    )

    def renamed(found: re.Match[str]) -> str:
        return f'"#/components/schemas/{names.get(found[1], found[1])}"'

    added = json.loads(REFERENCE.sub(renamed, json.dumps(part)))
    for kind, entries in added.get("components", {}).items():
        if kind != "schemas":
            components.setdefault(kind, {}).update(entries)
    for name, schema in added.get("components", {}).get("schemas", {}).items():
        new = names.get(name, name)
        if schema.get("title") == name:
            schema["title"] = new  # some client generators use the title as the name
        taken[new] = schema
    for path, item in added["paths"].items():
        document["paths"].setdefault(path, {}).update(item)


def _new_names(taken: Schemas, offered: Schemas, suffix: str) -> dict[str, str]:
    """Return new names for the schemas whose name is taken and that differ, or that refer to one that differs."""
    both = offered.keys() & taken.keys()
    differing = {name for name in both if offered[name] != taken[name]}
    while more := {name for name in both - differing if differing & set(REFERENCE.findall(json.dumps(offered[name])))}:
        differing |= more
    names: dict[str, str] = {}
    for name in sorted(differing):
        new = name + suffix
        while new in taken or new in offered:
            new += suffix
        names[name] = new
    return names
