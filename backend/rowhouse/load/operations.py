"""Read an OpenAPI document into operations: their paths, collections, requests and valid responses.

The tasks of the load test come from here alone, so a newly registered entity is loaded without an edit. Nothing here
sends a request. An operation that this module does not understand is an error. It is left out only by its name.
"""

import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote

from rowhouse.core.openapi import KEY_MEMBERS, resolved
from rowhouse.load.hints import Hints
from rowhouse.query.keys import KEY_SEPARATOR, PART_SEPARATOR, quoted, written

DEFAULT_PREFIX = "/api/v1"
# The paths of accounts below the prefix (docs/contract.md §6).
SIGN_UP, LOGIN = "/users", "/auth/login"
JSON, FORM, NDJSON = "application/json", "application/x-www-form-urlencoded", "application/x-ndjson"
METHODS = ("get", "post", "patch", "put", "delete")
ACCOUNT_PATHS = ("/auth", "/users")
READ_WEIGHT, WRITE_WEIGHT, SELDOM_WEIGHT = 10, 4, 1
# The number of rows in a batch or a file.
ELEMENTS = 20
SLO = "x-slo-ms"
# States the field of a step, its states `from` and `to`, and the `initial` state of a row.
TRANSITION = "x-transition"
# The engine's codes of a 409 that another client can cause: it took the slot or the value, deleted the row that this
# one refers to, or refers to this one.
CONFLICTS = frozenset({"overlap", "duplicate", "reference_not_found", "still_referenced"})
Schema = Mapping[str, Any]


class UncallableOperationError(RuntimeError):
    """The load test cannot call some operations of the document. The message lists them with the reasons."""


BATCH, EXPORT, IMPORT, RESTORE = "/batch", "/export", "/import", "/{id}/restore"
AGGREGATE, DELETED = "/aggregate", "/deleted"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path.

    `name` is the path without the prefix of the API, as statistics group it: `/books/{id}`. `query` has the schemas of
    the required parameters, `optional_query` the names of the others. `slo_ms` is the bound of the 95th percentile in
    milliseconds; 0 if the document states none. `transition` has the states of a step; it is empty for others.
    """

    method: str
    path: str
    name: str
    operation_id: str
    successes: frozenset[int]
    is_secured: bool
    body: Schema | None
    media_type: str | None
    query: Mapping[str, Schema] = field(default_factory=dict)
    optional_query: frozenset[str] = frozenset()
    slo_ms: int = 0
    transition: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def label(self) -> str:
        """Return `GET /books/{id}`."""
        return f"{self.method} {self.name}"

    @property
    def takes_row(self) -> bool:
        """Return whether the path names a row, or the elements of the batch do."""
        return "{" in self.path or (self.is_batch and self.method != "POST")

    @property
    def is_batch(self) -> bool:
        """Return whether it is about several rows."""
        return self.path.endswith(BATCH)

    @property
    def collection(self) -> str:
        """Return the path of the row's collection; the path itself if it names no row."""
        path = self.path.partition("/{")[0]
        for ending in (BATCH, EXPORT, IMPORT, AGGREGATE, DELETED):
            path = path.removesuffix(ending)
        return path

    @property
    def is_stream(self) -> bool:
        """Return whether the response can be so long that it is timed to its first byte."""
        return self.path.endswith(EXPORT)

    @property
    def takes_rows(self) -> bool:
        """Return whether the body is a file of rows, each with the schema of a create."""
        return self.media_type == NDJSON

    @property
    def ends_row(self) -> bool:
        """Return whether the row cannot be used again: it was deleted, or an action changed its state."""
        return self.takes_row and self.method in ("DELETE", "POST") and not self.restores_row

    @property
    def restores_row(self) -> bool:
        """Return whether it restores a deleted row."""
        return self.method == "POST" and self.path.endswith(RESTORE)

    @property
    def weight(self) -> int:
        """Return how often it is called compared with others. Accounts, batches and files are rare; hashing is slow."""
        if self.is_stream or self.takes_rows or self.is_batch or self.path.endswith((AGGREGATE, DELETED)):
            return SELDOM_WEIGHT
        if self.method == "GET":
            return READ_WEIGHT
        return SELDOM_WEIGHT if self.name.startswith(ACCOUNT_PATHS) else WRITE_WEIGHT

    def path_of(self, key: object) -> str:
        """Return the path with the key of a row in it."""
        before, _, after = self.path.partition("{")
        return f"{before}{quote(key_text(key), safe='')}{after.partition('}')[2]}" if after else before


class Api:
    """Every operation of one document, and the references between collections. `hints` has the rules of tables.

    The operations whose labels are in `leave_out` are as if the document did not have them.

    Raises:
        UncallableOperationError: the load test cannot call some operation, or there is none to leave out.
    """

    def __init__(
        self, document: Mapping[str, Any], hints: Mapping[str, Hints] | None = None, *, leave_out: Collection[str] = ()
    ) -> None:
        self.document = document = resolved(document)
        self.hints = hints or {}
        # The codes of a 409 that another client can cause, however right the request is.
        self.conflicts = CONFLICTS.union(*(hint.conflicts for hint in self.hints.values()))
        logins = [path.removesuffix(LOGIN) for path in document["paths"] if path.endswith(LOGIN)]
        self.has_accounts = bool(logins)
        self.prefix = logins[0] if logins else DEFAULT_PREFIX
        found = [
            _operation(method, path, item, prefix=self.prefix)
            for path, item in document["paths"].items()
            for method in METHODS
            if method in item
        ]
        self._require_known(leave_out, found)
        self.operations = [operation for operation in found if operation.label not in leave_out]
        self.by_label = {operation.label: operation for operation in self.operations}
        self._by_place = {(operation.method, operation.path): operation for operation in self.operations}
        # The schemas of `expand` show references: `stock` is a BranchPublic, so `stock_id` is the key of a branch.
        gets = {
            _row_schema(document["paths"][operation.path]["get"]): operation.collection
            for operation in self.operations
            if operation.method == "GET" and operation.operation_id.startswith("get_")
        }
        # A member `charge_point_id` refers to the rows of the operation `get_charge_point`.
        self.targets = {
            f"{operation.operation_id.removeprefix('get_')}_id": operation.collection
            for operation in self.operations
            if operation.method == "GET" and operation.takes_row and operation.operation_id.startswith("get_")
        }
        for member, schema in _expanded(document):
            if schema in gets:
                self.targets.setdefault(member, gets[schema])
        # The members of a row that are its key, by collection, where it is not `id`.
        self._keys = {
            operation.collection: tuple(parameter[KEY_MEMBERS])
            for operation in self.operations
            for parameter in document["paths"][operation.path][operation.method.lower()].get("parameters", ())
            if KEY_MEMBERS in parameter
        }
        self._previous_steps = _previous_steps(self.operations)
        errors = [f"{operation.label}: {text}" for operation in self.operations for text in self._errors(operation)]
        if errors or not self.operations:
            raise UncallableOperationError("\n".join(errors) or "the document has no operations")

    def _require_known(self, leave_out: Collection[str], found: Sequence[Operation]) -> None:
        unknown = sorted({*leave_out} - {operation.label for operation in found})
        if unknown:
            raise UncallableOperationError(
                f"leave_out names {', '.join(unknown)}, and there is no such operation. Write the method and the path "
                f"without {self.prefix}, such as POST /orders/{{id}}/ship."
            )

    @property
    def sign_up_roles(self) -> tuple[str, ...]:
        """Return the roles that a client may choose at sign-up, the default first; empty without a sign-up."""
        operation = self.create_of(f"{self.prefix}{SIGN_UP}")
        if operation is None or operation.body is None:
            return ()
        schemas = self.document.get("components", {}).get("schemas", {})
        body = schemas.get(operation.body.get("$ref", "").rpartition("/")[2], operation.body)
        role = body.get("properties", {}).get("role", {})
        return tuple(role.get("enum", [role["const"]] if "const" in role else []))

    def key_of(self, collection: str, row: Any) -> object | None:
        """Return the key of a row, a tuple if it has several members; None for a body that is no row."""
        names = self._keys.get(collection, ("id",))
        if not isinstance(row, dict) or not row.keys() >= set(names):
            return None
        return row[names[0]] if len(names) == 1 else tuple(row[name] for name in names)

    def members_of(self, collection: str, key: object) -> dict[str, object]:
        """Return the members of a key."""
        names = self._keys.get(collection, ("id",))
        return dict(zip(names, key if isinstance(key, tuple) else (key,), strict=True))

    def create_of(self, collection: str) -> Operation | None:
        """Return the operation that creates a row of the collection."""
        return self._by_place.get(("POST", collection))

    def list_of(self, collection: str) -> Operation | None:
        """Return the operation that lists the collection."""
        return self._by_place.get(("GET", collection))

    def delete_of(self, collection: str) -> Operation | None:
        """Return the operation that deletes a row of the collection."""
        return self._by_place.get(("DELETE", f"{collection}/{{id}}"))

    def batch_create_of(self, collection: str) -> Operation | None:
        """Return the operation that creates a batch of rows of the collection."""
        return self._by_place.get(("POST", f"{collection}{BATCH}"))

    def elements_of(self, operation: Operation) -> int:
        """Return the number of rows in a request: 20 for a file, and for a batch of rows that a batch can create."""
        if operation.takes_rows:
            return ELEMENTS
        return ELEMENTS if operation.is_batch and self.batch_create_of(operation.collection) else 1

    def previous_step(self, operation: Operation) -> Operation | None:
        """Return the step to take before this one, if a new row is not in a state from which it starts."""
        return self._previous_steps.get(operation.label)

    def weighted(self) -> Iterator[Operation]:
        """Yield every operation as often as its weight."""
        for operation in self.operations:
            yield from [operation] * operation.weight

    def _errors(self, operation: Operation) -> Iterator[str]:
        """Yield why the operation cannot be called."""
        if operation.path.count("{") > 1:
            yield "more than one parameter in the path; the load cannot tell where its rows come from"
        elif operation.takes_row:
            yield from self._row_errors(operation)
        if operation.takes_rows and self.create_of(operation.collection) is None:
            yield f"takes rows of {operation.collection}, and no operation has the schema of one"
        if operation.body is not None and operation.media_type not in (JSON, FORM, NDJSON):
            yield f"takes {operation.media_type}; the load generates no such body"
        if operation.slo_ms < 0:
            yield f"{SLO} must be a whole number of milliseconds from 1"
        if not operation.successes:
            yield "documents no answer of success"

    def _row_errors(self, operation: Operation) -> Iterator[str]:
        creates, lists = self.create_of(operation.collection), self.list_of(operation.collection)
        if creates is None and lists is None:
            yield f"no operation lists or creates rows of {operation.collection}, so there is no row to call it with"
        elif creates is None and (operation.method == "DELETE" or operation.restores_row):
            yield f"no operation creates rows of {operation.collection}, and the load test deletes only its own"
        elif operation.restores_row and self.delete_of(operation.collection) is None:
            yield f"no operation deletes rows of {operation.collection}, so there is none to restore"


def key_text(key: object) -> str:
    """Return a key as a path has it, not encoded yet."""
    return PART_SEPARATOR.join(quoted(written(part)) for part in key) if isinstance(key, tuple) else written(key)


def keys_text(keys: Sequence[object]) -> str:
    """Return keys as the parameter `ids` has them."""
    if any(isinstance(key, tuple) for key in keys):
        return KEY_SEPARATOR.join(map(key_text, keys))
    return PART_SEPARATOR.join(quoted(key_text(key)) for key in keys)


class OperationShuffle:
    """Returns operations as often as their weights, in random order."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._remaining: list[Operation] = []

    def next(self) -> Operation:
        """Return the next operation to call."""
        if not self._remaining:
            self._remaining = list(self._api.weighted())
            random.shuffle(self._remaining)
        return self._remaining.pop()


def _previous_steps(operations: Iterable[Operation]) -> dict[str, Operation]:
    """Return, by the label of a step, the step before it on the shortest way from the initial state."""
    groups: dict[tuple[str, str], list[Operation]] = {}
    for operation in operations:
        if "initial" in operation.transition:
            groups.setdefault((operation.collection, operation.transition["field"]), []).append(operation)
    found: dict[str, Operation] = {}
    for steps in groups.values():
        leading = _leading_steps(steps)
        for step in steps:
            states = [state for state in leading if state in step.transition["from"]]
            previous = leading[states[0]] if states else None
            if previous is not None:
                found[step.label] = previous
    return found


def _leading_steps(steps: Sequence[Operation]) -> dict[Any, Operation | None]:
    """Return the states that these steps reach, the nearest first, with the last step to each."""
    initial = steps[0].transition["initial"]
    reached: dict[Any, Operation | None] = {initial: None}
    states = [initial]
    for state in states:  # grows
        for step in steps:
            target = step.transition["to"]
            if state in step.transition["from"] and target not in reached:
                reached[target] = step
                states.append(target)
    return reached


def _operation(method: str, path: str, item: Mapping[str, Any], *, prefix: str) -> Operation:
    described = item[method]
    content: Mapping[str, Any] = described.get("requestBody", {}).get("content", {})
    media_type = NDJSON if NDJSON in content else next(iter(content), None)
    parameters = [*item.get("parameters", ()), *described.get("parameters", ())]
    query = [parameter for parameter in parameters if parameter["in"] == "query"]
    return Operation(
        method=method.upper(),
        path=path,
        name=path.removeprefix(prefix),
        operation_id=described["operationId"],
        successes=_successes(described["responses"]),
        is_secured=bool(described.get("security")),
        body=content[media_type]["schema"] if media_type else None,
        media_type=media_type,
        query={parameter["name"]: parameter["schema"] for parameter in query if parameter.get("required")},
        optional_query=frozenset(parameter["name"] for parameter in query if not parameter.get("required")),
        slo_ms=_slo(described),
        transition=described.get(TRANSITION, {}),
    )


def _slo(described: Mapping[str, Any]) -> int:
    """Return the bound that an operation states: 0 if it states none, -1 if it is not a positive integer."""
    stated = described.get(SLO, 0)
    is_bound = isinstance(stated, int) and (stated > 0 or SLO not in described)
    return stated if is_bound else -1


def _row_schema(described: Mapping[str, Any]) -> str:
    """Return the reference to the schema of the row that a get returns; the first of several."""
    schema = described["responses"].get("200", {}).get("content", {}).get(JSON, {}).get("schema", {})
    return str((schema.get("anyOf") or [schema])[0].get("$ref", ""))


def _expanded(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the members that refer to one row, with the reference to the schema of that row."""
    schemas = document.get("components", {}).get("schemas", {})
    for name, schema in schemas.items():
        if name.endswith("Partial"):
            for member, value in schema.get("properties", {}).items():
                for arm in value.get("anyOf", ()):
                    if "$ref" in arm and f"{member}_id" in schema["properties"]:
                        yield f"{member}_id", arm["$ref"]


def _successes(statuses: Iterable[str]) -> frozenset[int]:
    return frozenset(int(status) for status in statuses if status.startswith("2"))
