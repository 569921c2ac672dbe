"""Generates from the OpenAPI document every way in which a request can name a row; see `test_ownership`.

An unknown operation or parameter fails the suite by its name, so that its author says how it names a row.
"""

from collections.abc import Callable, Iterable, Iterator

from rowhouse.registration.registry import Registration
from tests.contract.entity_client import Row
from tests.contract.list_model import written
from tests.contract.registrations import Api
from tests.isolation.probes import (
    OPERATORS,
    Probe,
    Secret,
    bodies_that_name,
    referring,
    relations_of_registry,
    selections,
)
from tests.isolation.row_probes import (
    ENTRY_MEMBERS,
    embedding,
    probes_of_aggregate,
    probes_of_deleted,
    probes_of_export,
    probes_of_history,
    probes_of_import,
    probes_of_restore,
    unique_keys,
    views,
)

Operation = tuple[str, str]
WINDOW = frozenset({"page", "size", "skip", "limit", "cursor"})
SELECTION = frozenset({"sort", "search", "fields", "any"})
VERBS = ("GET", "HEAD", "OPTIONS", "PATCH", "PUT", "DELETE", "POST")


def probes_of_list(secret: Secret) -> Iterator[Probe]:
    """Each filter by the row's own value, sorts, search, windows, cursors of both, and what `fields` and `expand` add to them."""
    for query in selections(secret):
        yield Probe("GET", options={"params": query})
    for skip in range(4):
        yield Probe("GET", options={"params": {"sort": "-id", "skip": skip, "limit": 1}})
    for cursor in (*secret.cursors, *secret.own_cursors):
        yield Probe("GET", options={"params": {"cursor": cursor, "size": 2}})
    for view in views(secret):
        for more in ({}, {"cursor": secret.cursors[0]}, {"id": secret.row["id"]}):
            yield Probe("GET", options={"params": {**view, **more}})
    yield from embedding(secret)


def probes_of_get(secret: Secret) -> Iterator[Probe]:
    """By its id, with its tag, with any, and by methods that there are none of."""
    for condition in ({}, *({"If-None-Match": tag} for tag in (secret.tag, f"W/{secret.tag}", "*", '"x"'))):
        yield Probe("GET", secret.path, {"extra": condition})
    for view in views(secret):
        for condition in ({}, {"If-None-Match": secret.tag}):
            yield Probe("GET", secret.path, {"extra": condition, "params": view})
    for method in VERBS:
        yield Probe(method, secret.path)


def probes_of_change(secret: Secret, method: str) -> Iterator[Probe]:
    """A good change, an empty and a wrong one, each with its tag, a stale one and any."""
    wrong: Row = {"nope": 1}
    for body in (secret.change(), {}, wrong):
        for condition in ({}, *({"If-Match": tag} for tag in (secret.tag, "*", '"x"'))):
            yield Probe(method, secret.path, {"json": body, "extra": condition})
    yield Probe(method, secret.path, {"json": secret.change(), "extra": {"Prefer": "return=minimal"}})


def probes_of_delete(secret: Secret) -> Iterator[Probe]:
    """With and without a version."""
    for condition in ({}, *({"If-Match": tag} for tag in (secret.tag, "*", '"x"'))):
        yield Probe("DELETE", secret.path, {"extra": condition})


def probes_of_batch_change(secret: Secret) -> Iterator[Probe]:
    """Alone, behind and before a row of the stranger's."""
    theirs, own = ({"id": row["id"], **secret.change()} for row in (secret.row, secret.own))
    for body in ([theirs], [own, theirs], [theirs, own], [{"id": secret.row["id"]}]):
        yield Probe("PATCH", "/batch", {"json": body})


def probes_of_batch_delete(secret: Secret) -> Iterator[Probe]:
    """Alone, behind and before a row of the stranger's."""
    theirs, own = secret.row["id"], secret.own["id"]
    for ids in ([theirs], [own, theirs], [theirs, own], [theirs, theirs]):
        yield Probe("DELETE", "/batch", {"params": {"ids": written(ids)}})


def probes_of_create(secret: Secret, tail: str) -> Iterator[Probe]:
    """In the owner's name, with the row's id, and with references to it from every entity that has some."""
    for entity, body in bodies_that_name(secret):
        yield Probe("POST", tail, {"json": [body] if tail else body}, entity)
        for key in unique_keys(entity or secret.entity) if tail else ():
            yield Probe("POST", tail, {"json": [body], "params": {"on": key}}, entity)


def probes_of_references(secret: Secret) -> Iterator[Probe]:
    """Rows of the stranger's that are changed to refer to it, and the history of those that were."""
    for entity, member in referring(secret.entity):
        if entity.resource is secret.entity.resource:
            body = {member: secret.row["id"]}
            for method in ("PATCH", "PUT"):
                yield Probe(method, f"/{secret.own['id']}", {"json": body})
            yield Probe("PATCH", "/batch", {"json": [{"id": secret.own["id"], **body}]})
    for near in secret.near:
        for keys in ([secret.row["id"]], [secret.own["id"], secret.row["id"]]):
            body = {near.member: near.value(*keys)}
            for method in ("PATCH", "PUT"):
                yield Probe(method, f"/{near.row['id']}", {"json": body}, near.entity)
            yield Probe("PATCH", "/batch", {"json": [{"id": near.row["id"], **body}]}, near.entity)
        if near.entity.resource.history:
            yield Probe("GET", f"/{near.row['id']}/history", entity=near.entity)


def probes_of_steps(secret: Secret) -> Iterator[Probe]:
    """Each step, with its tag, a stale one and any, with a key, with a body, and with a query."""
    asked: list[Row] = [
        {},
        *({"extra": {"If-Match": tag}} for tag in (secret.tag, "*", '"x"')),
        {"extra": {"Idempotency-Key": "stranger"}},
        {"json": {}},
        {"params": {"nope": "1"}},
    ]
    for step in secret.entity.resource.steps:
        for options in asked:
            yield Probe("POST", f"{secret.path}/{step.name}", options)


STEP: Operation = ("post", "/{id}/step")
PROBES: dict[Operation, Callable[[Secret], Iterable[Probe]]] = {
    ("get", ""): probes_of_list,
    ("post", ""): lambda secret: probes_of_create(secret, ""),
    ("get", "/{id}"): probes_of_get,
    ("patch", "/{id}"): lambda secret: (*probes_of_change(secret, "PATCH"), *probes_of_references(secret)),
    ("put", "/{id}"): lambda secret: probes_of_change(secret, "PUT"),
    ("delete", "/{id}"): probes_of_delete,
    ("post", "/batch"): lambda secret: probes_of_create(secret, "/batch"),
    ("patch", "/batch"): probes_of_batch_change,
    ("delete", "/batch"): probes_of_batch_delete,
    ("get", "/export"): probes_of_export,
    ("get", "/aggregate"): probes_of_aggregate,
    ("get", "/deleted"): probes_of_deleted,
    ("post", "/import"): probes_of_import,
    ("post", "/{id}/restore"): probes_of_restore,
    ("get", "/{id}/history"): probes_of_history,
    STEP: probes_of_steps,
    ("get", "/latest"): lambda _secret: [Probe("GET", "/latest")],
}
# They take the filters of a list, also those over relations.
LISTS: tuple[Operation, ...] = (("get", ""), ("get", "/export"), ("get", "/aggregate"))
AGGREGATE = frozenset({"group_by", "count", "sum", "avg", "min", "max", "sort", "skip", "limit", "search", "any"})
# What each operation takes beside the filters of a list.
PARAMETERS: dict[Operation, frozenset[str]] = {
    ("get", ""): WINDOW | SELECTION | {"expand"},
    ("get", "/export"): SELECTION | {"format"},
    ("get", "/aggregate"): AGGREGATE,
    ("get", "/deleted"): WINDOW | {"id", "deleted_at__gte", "deleted_at__lte"},
    ("post", "/import"): frozenset({"Idempotency-Key", "on"}),
    ("post", "/{id}/restore"): frozenset({"id"}),
    ("get", "/{id}/history"): WINDOW | SELECTION | {"id"},
    ("post", ""): frozenset({"Idempotency-Key"}),
    ("get", "/{id}"): frozenset({"id", "If-None-Match", "fields", "expand"}),
    ("patch", "/{id}"): frozenset({"id", "If-Match", "Prefer"}),
    ("put", "/{id}"): frozenset({"id", "If-Match", "If-None-Match", "Prefer"}),
    ("delete", "/{id}"): frozenset({"id", "If-Match"}),
    ("post", "/batch"): frozenset({"Idempotency-Key", "on"}),
    ("patch", "/batch"): frozenset({"Prefer"}),
    ("delete", "/batch"): frozenset({"ids"}),
    STEP: frozenset({"id", "If-Match", "Idempotency-Key"}),
}


def unknown_ways(api: Api) -> list[str]:
    """The operations and parameters of an API that name a row in a way that these probes do not know.

    Hand-written operations are probed in `tests/security/test_hand_written.py`.
    """
    found = []
    prefix, registrations = api.registry.prefix, api.registry.registrations
    for path, item in api.document["paths"].items():
        tail = path.removeprefix(prefix)
        for method, operation in item.items():
            if not path.startswith(f"{prefix}/") or (method, tail) in api.hand_written:
                continue
            name, _, rest = tail.removeprefix("/").partition("/")
            kind = kind_of(registrations[name], method, f"/{rest}" if rest else "") if name in registrations else None
            if kind not in PROBES:
                found.append(f"{method.upper()} {path}")
                continue
            filters = filter_names(registrations[name], kind)
            if kind in LISTS:
                filters |= set(relations_of_registry(api.registry)[name])
            given = {parameter["name"] for parameter in operation.get("parameters", ())}
            found += [f"{method.upper()} {path}: {n}" for n in given - PARAMETERS.get(kind, frozenset()) - filters]
    return sorted(found)


def kind_of(registration: Registration, method: str, tail: str) -> Operation:
    """An operation of an entity; each of its steps is `STEP`."""
    steps = {f"/{{id}}/{step.name}" for step in registration.resource.steps}
    return STEP if tail in steps else (method, tail)


def filter_names(registration: Registration, kind: Operation) -> set[str]:
    """The filters that an operation may have: columns and operators that are known here, and aliases of them."""
    columns = dict.fromkeys(LISTS, registration.resource.columns)
    names: Iterable[str] = ENTRY_MEMBERS if kind == ("get", "/{id}/history") else columns.get(kind, ())
    own = {f"{name}{ending}" for name in names for ending in ("", *(f"__{operator}" for operator in OPERATORS))}
    return own | {alias for alias, meant in registration.crud.filter_aliases.items() if meant in own}
