"""Every way in which a request can name a row, generated from the OpenAPI document; see `test_ownership`.

An operation or a parameter that is not known here makes the suite fail by its name, so that whoever adds one says how it names a row.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from backend.crud.registry import Registration
from tests.contract.expected import EQUALITY, MATCHES, ORDER, written
from tests.contract.house import House, Row

Operation = tuple[str, str]
PAGE_WORDS = frozenset({"page", "size", "skip", "limit", "sort", "search", "cursor"})
OPERATORS = EQUALITY | ORDER | MATCHES
VERBS = ("GET", "HEAD", "OPTIONS", "PATCH", "PUT", "DELETE", "POST")


@dataclass(frozen=True)
class Probe:
    """One request, below the entity's path unless `house` names another."""

    method: str
    tail: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    house: House | None = None


@dataclass(frozen=True)
class Secret:
    """A row that the stranger does not see, with what its owner has learnt: its tag and cursors to and past it."""

    house: House
    row: Row
    tag: str
    cursors: tuple[str, ...]
    own: Row
    own_cursors: tuple[str, ...]

    @property
    def path(self) -> str:
        """Its tail below the entity's path."""
        return f"/{self.row['id']}"

    def change(self) -> Row:
        """A change that its owner could make."""
        member = next(name for name in self.house.update if name not in self.house.references)
        return self.house.change(self.row, member)


def probes_of_list(secret: Secret) -> Iterator[Probe]:
    """Each filter by the row's own value, each sort, search, windows, and cursors, the owner's and the stranger's."""
    for name in secret.house.parameters:
        if name not in PAGE_WORDS:
            yield Probe("GET", options={"params": {name: filter_value(secret, name)}})
    for word in secret.house.parameters["sort"]["items"]["enum"]:
        yield Probe("GET", options={"params": {"sort": word}})
    for skip in range(4):
        yield Probe("GET", options={"params": {"sort": "-id", "skip": skip, "limit": 1}})
    for cursor in (*secret.cursors, *secret.own_cursors):
        yield Probe("GET", options={"params": {"cursor": cursor, "size": 2}})
    for column in secret.house.plan.parameters.search:
        yield Probe("GET", options={"params": {"search": secret.row[column.name]}})


def filter_value(secret: Secret, name: str) -> str:
    """What a filter asks for, so that it selects the row, or selects by where the row stands."""
    aliases = secret.house.registration.crud.filter_aliases
    column, _, operator = aliases.get(name, name).partition("__")
    value = secret.row[column]
    match operator:
        case "isnull":
            return written(value is None)
        case "contains" | "startswith":
            return str(value)[:5]
        case "endswith":
            return str(value)[-5:]
    return written([value] if operator in ("in", "not_in") else value)


def probes_of_get(secret: Secret) -> Iterator[Probe]:
    """By its id, with its tag, with any, and by methods that there are none of."""
    for condition in ({}, *({"If-None-Match": tag} for tag in (secret.tag, f"W/{secret.tag}", "*", '"x"'))):
        yield Probe("GET", secret.path, {"extra": condition})
    for method in VERBS:
        yield Probe(method, secret.path)


def probes_of_change(secret: Secret, method: str) -> Iterator[Probe]:
    """A good change, an empty and a wrong one, each with its tag, a stale one and any."""
    wrong: Row = {"nope": 1}
    for body in (secret.change(), {}, wrong):
        for condition in ({}, *({"If-Match": tag} for tag in (secret.tag, "*", '"x"'))):
            yield Probe(method, secret.path, {"json": body, "extra": condition})


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
    for member in {"id", str(secret.house.owner)} & set(secret.row):
        body = secret.house.body(**{member: secret.row[member]})
        yield Probe("POST", tail, {"json": [body] if tail else body})
    for house, member in referring(secret.house):
        body = house.body(**{member: secret.row["id"]})
        yield Probe("POST", tail, {"json": [body] if tail else body}, house)


def probes_of_references(secret: Secret) -> Iterator[Probe]:
    """A row of the stranger's that is changed to refer to it."""
    for house, member in referring(secret.house):
        if house.plan is secret.house.plan:
            body = {member: secret.row["id"]}
            for method in ("PATCH", "PUT"):
                yield Probe(method, f"/{secret.own['id']}", {"json": body})
            yield Probe("PATCH", "/batch", {"json": [{"id": secret.own["id"], **body}]})


def referring(house: House) -> list[tuple[House, str]]:
    """Each entity with a member that refers to this one."""
    found = []
    for path in house.world.registry.registrations:
        other = house.world.house(path)
        found += [(other, name) for name, column in other.references.items() if column.table is house.plan.table]
    return [(other, name) for other, name in found if "create" in other.registration.operations]


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
    ("get", "/latest"): lambda _secret: [Probe("GET", "/latest")],
}
# What each operation takes beside the filters of a list.
PARAMETERS: dict[Operation, frozenset[str]] = {
    ("get", ""): PAGE_WORDS,
    ("post", ""): frozenset({"Idempotency-Key"}),
    ("get", "/{id}"): frozenset({"id", "If-None-Match"}),
    ("patch", "/{id}"): frozenset({"id", "If-Match"}),
    ("put", "/{id}"): frozenset({"id", "If-Match"}),
    ("delete", "/{id}"): frozenset({"id", "If-Match"}),
    ("post", "/batch"): frozenset({"Idempotency-Key"}),
    ("delete", "/batch"): frozenset({"ids"}),
}
# What is written by hand and gives or takes nothing of a generated entity's but the caller's own account.
BY_HAND = frozenset(
    {
        ("post", "/auth/login"),
        ("post", "/auth/refresh"),
        ("post", "/auth/logout"),
        ("post", "/users"),
        ("get", "/users/me"),
        ("patch", "/users/me"),
        ("post", "/users/me/password"),
    }
)


def unknown_ways(document: Mapping[str, Any], registrations: Mapping[str, Registration], prefix: str) -> list[str]:
    """The operations and parameters of a document that nobody has said here how they name a row."""
    found = []
    for path, item in document["paths"].items():
        tail = path.removeprefix(prefix)
        for method, operation in item.items():
            if not path.startswith(f"{prefix}/") or (method, tail) in BY_HAND:
                continue
            name, _, rest = tail.removeprefix("/").partition("/")
            kind = (method, f"/{rest}" if rest else "")
            if name not in registrations or kind not in PROBES:
                found.append(f"{method.upper()} {path}")
                continue
            filters = filter_names(registrations[name]) if kind == ("get", "") else set()
            given = {parameter["name"] for parameter in operation.get("parameters", ())}
            found += [f"{method.upper()} {path}: {n}" for n in given - PARAMETERS.get(kind, frozenset()) - filters]
    return sorted(found)


def filter_names(registration: Registration) -> set[str]:
    """The names of the filters that a list has: columns and operators that are known here, and aliases of them."""
    columns = registration.resource.columns
    own = {f"{name}{ending}" for name in columns for ending in ("", *(f"__{operator}" for operator in OPERATORS))}
    return own | {alias for alias, meant in registration.crud.filter_aliases.items() if meant in own}
