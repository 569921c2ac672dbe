"""Rules about bodies that tables state and the OpenAPI document does not: order, bounds, unique values, references.

The rules are those of `rowhouse.testing.bodies.rules`. A load run against an application that this process cannot
import has none, and generates bodies from the document alone.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from fastapi import FastAPI

from rowhouse.cli.project import find_project, load_application
from rowhouse.entities.no_overlap import rules_of
from rowhouse.registration.registry import Registration, Registry
from rowhouse.testing.bodies.rules import Pairs, Reference, rules_for
from rowhouse.testing.bodies.values import Schema

log = logging.getLogger("rowhouse")


@dataclass(frozen=True, kw_only=True)
class Hints:
    """The rules of one entity.

    `name` is its class, `targets` the collection that a member refers to (None: no row is known), `conflicts` the codes
    of its `NoOverlap`s. A member in `parts` refers to a key of several columns, to the one at that position. A change
    of a row names no member in `fixed`: it is set when the row is created, or unique together with what is.
    """

    name: str = ""
    unique: frozenset[str] = frozenset()
    pairs: Pairs = ()
    bounds: Mapping[str, Schema] = field(default_factory=dict)
    targets: Mapping[str, str | None] = field(default_factory=dict)
    parts: Mapping[str, int] = field(default_factory=dict)
    fixed: frozenset[str] = frozenset()
    conflicts: frozenset[str] = frozenset()


NO_HINTS = Hints()


def hints_of(registries: Sequence[Registry]) -> dict[str, Hints]:
    """Return the rules of every entity, by the names of the schemas of its bodies."""
    lines = [
        (f"{registry.prefix}/{path}", registration)
        for registry in registries
        for path, registration in registry.registrations.items()
    ]
    collections = {registration.resource.table.key: path for path, registration in lines}
    found: dict[str, Hints] = {}
    for _, registration in lines:
        for name, hints in _named(registration, collections):
            found.setdefault(name, hints)
    return found


def _named(registration: Registration, collections: Mapping[str, str]) -> Iterator[tuple[str, Hints]]:
    resource = registration.resource
    rules = rules_for(resource)
    # A member that refers to anything but the key of a collection is left out. A longer reference holds shorter ones.
    references = sorted(rules.references, key=lambda reference: len(reference.local))
    targets = {
        name: collections.get(reference.table.key) if _is_key(reference) else None
        for reference in references
        for name in reference.local
    }
    hints = Hints(
        name=resource.name,
        unique=rules.unique,
        pairs=rules.pairs,
        bounds=rules.bounds,
        targets=targets,
        parts={name: position for reference in references for name, position in _parts(reference)},
        conflicts=frozenset(rule.error.code for rule in rules_of(resource.table)),
    )
    yield resource.schemas.create.__name__, hints
    changing = replace(hints, fixed=rules.fixed)
    yield resource.schemas.update.__name__, changing
    yield f"{resource.name}BatchUpdate", changing
    if (put := resource.schemas.put) is not None:
        created = put.model_fields.keys() - resource.schemas.update.model_fields - {*resource.key.names}
        yield put.__name__, replace(hints, fixed=rules.fixed | created)


def _is_key(reference: Reference) -> bool:
    """Return whether a reference names a row by its key."""
    return set(reference.remote) == {column.name for column in reference.table.primary_key}


def _parts(reference: Reference) -> Iterator[tuple[str, int]]:
    """Yield the members of a reference to a key of several columns, with the position of their column in the key."""
    if len(reference.local) > 1 and _is_key(reference):
        order = [column.name for column in reference.table.primary_key]
        yield from zip(reference.local, map(order.index, reference.remote), strict=True)


def project_hints() -> dict[str, Hints]:
    """Return the rules of the project in the working directory; none if its application cannot be imported here."""
    try:
        app = load_application(find_project())
    except (ImportError, ValueError) as error:
        log.warning("bodies come from the OpenAPI document alone: %s", error)
        return {}
    return _hints_and_close(app)


def _hints_and_close(app: FastAPI) -> dict[str, Hints]:
    """Return the rules, and close the application: it serves nothing here."""
    if not hasattr(app.state, "registries"):
        return {}
    app.state.runner.close(seconds=1)
    app.state.database.dispose()
    return hints_of(app.state.registries)
