"""Reads an OpenAPI document into operations: what there is to call, below which collection, and with which answers.

The tasks of the load test come from here alone, so an entity that is registered is loaded with no edit. Nothing here sends a
request. An operation that this module does not understand is an error, never left out.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

PREFIX = "/api/v1"
JSON, FORM, NDJSON = "application/json", "application/x-www-form-urlencoded", "application/x-ndjson"
METHODS = ("get", "post", "patch", "put", "delete")
ACCOUNT_PATHS = ("/auth", "/users")
READ_WEIGHT, WRITE_WEIGHT, SELDOM_WEIGHT = 10, 4, 1
# How many rows a batch or a file has.
ELEMENTS = 20
SLO = "x-slo-ms"
Schema = Mapping[str, Any]


class UncallableOperationError(RuntimeError):
    """The load test cannot call every operation of the document; the message says which, and why."""


BATCH, EXPORT, IMPORT, RESTORE = "/batch", "/export", "/import", "/{id}/restore"


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path. `query` holds the schemas of the parameters that must be given, `optional_query` other names.

    `slo_ms` is within how many milliseconds 95 of 100 answers are to be there; 0 where the document does not say.
    """

    method: str
    path: str
    operation_id: str
    successes: frozenset[int]
    is_secured: bool
    body: Schema | None
    media_type: str | None
    query: Mapping[str, Schema] = field(default_factory=dict)
    optional_query: frozenset[str] = frozenset()
    slo_ms: int = 0

    @cached_property
    def name(self) -> str:
        """The path as statistics group it: `/books/{id}`."""
        return self.path.removeprefix(PREFIX)

    @cached_property
    def label(self) -> str:
        """`GET /books/{id}`."""
        return f"{self.method} {self.name}"

    @property
    def takes_row(self) -> bool:
        """Whether the path names a row, or the batch that it is sent does."""
        return "{" in self.path or (self.is_batch and self.method != "POST")

    @property
    def is_batch(self) -> bool:
        """Whether it is about several rows at once."""
        return self.path.endswith(BATCH)

    @property
    def collection(self) -> str:
        """The path of the collection that the row belongs to; the path itself where it names no row."""
        path = self.path.partition("/{")[0]
        for ending in (BATCH, EXPORT, IMPORT):
            path = path.removesuffix(ending)
        return path

    @property
    def is_stream(self) -> bool:
        """Whether the answer may be so long that its first byte says how quick the server is."""
        return self.path.endswith(EXPORT)

    @property
    def takes_rows(self) -> bool:
        """Whether the body is a file of rows, each as a create of the collection takes it."""
        return self.media_type == NDJSON

    @property
    def ends_row(self) -> bool:
        """Whether the row is not to be used again: it is gone, or an action has moved it on in its life."""
        return self.takes_row and self.method in ("DELETE", "POST") and not self.revives_row

    @property
    def revives_row(self) -> bool:
        """Whether it takes a deleted row, which is there again afterwards."""
        return self.method == "POST" and self.path.endswith(RESTORE)

    @property
    def weight(self) -> int:
        """How often it is called beside the others. Accounts, batches and files are seldom sent, and hashing is dear."""
        if self.is_stream or self.takes_rows or self.is_batch:
            return SELDOM_WEIGHT
        if self.method == "GET":
            return READ_WEIGHT
        return SELDOM_WEIGHT if self.name.startswith(ACCOUNT_PATHS) else WRITE_WEIGHT

    def path_of(self, key: object) -> str:
        """The path with the key of a row in it."""
        before, _, after = self.path.partition("{")
        return f"{before}{key}{after.partition('}')[2]}" if after else before


class Api:
    """Every operation of one document, and how collections hang together.

    Raises:
        UncallableOperationError: there is an operation that the load test could not call.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.operations = [
            _operation(method, path, item)
            for path, item in document["paths"].items()
            for method in METHODS
            if method in item
        ]
        self.by_label = {operation.label: operation for operation in self.operations}
        self._by_place = {(operation.method, operation.path): operation for operation in self.operations}
        # What `expand` embeds says the same of members that are called otherwise: `stock` is a BranchPublic, so `stock_id` is its key.
        gets = {
            _row_schema(document["paths"][operation.path]["get"]): operation.collection
            for operation in self.operations
            if operation.method == "GET" and operation.operation_id.startswith("get_")
        }
        # `get_charge_point` stands for the rows that a member `charge_point_id` refers to.
        self.targets = {
            f"{operation.operation_id.removeprefix('get_')}_id": operation.collection
            for operation in self.operations
            if operation.method == "GET" and operation.takes_row and operation.operation_id.startswith("get_")
        }
        for member, schema in _expanded(document):
            if schema in gets:
                self.targets.setdefault(member, gets[schema])
        complaints = [
            f"{operation.label}: {text}" for operation in self.operations for text in self._complaints(operation)
        ]
        if complaints or not self.operations:
            raise UncallableOperationError("\n".join(complaints) or "the document has no operations")

    def create_of(self, collection: str) -> Operation | None:
        """The operation that makes a row of the collection."""
        return self._by_place.get(("POST", collection))

    def list_of(self, collection: str) -> Operation | None:
        """The operation that lists the collection."""
        return self._by_place.get(("GET", collection))

    def delete_of(self, collection: str) -> Operation | None:
        """The operation that deletes a row of the collection."""
        return self._by_place.get(("DELETE", f"{collection}/{{id}}"))

    def batch_create_of(self, collection: str) -> Operation | None:
        """The operation that makes many rows of the collection at once."""
        return self._by_place.get(("POST", f"{collection}{BATCH}"))

    def elements_of(self, operation: Operation) -> int:
        """How many rows a request is about: a batch is sent a few, but one where nothing makes as many at once."""
        if operation.takes_rows:
            return ELEMENTS
        return ELEMENTS if operation.is_batch and self.batch_create_of(operation.collection) else 1

    def weighted(self) -> Iterator[Operation]:
        """Every operation as often as its weight says."""
        for operation in self.operations:
            yield from [operation] * operation.weight

    def _complaints(self, operation: Operation) -> Iterator[str]:
        """Why the operation could not be called."""
        if operation.path.count("{") > 1:
            yield "more than one parameter in the path; teach perf.operations where its rows come from"
        elif operation.takes_row:
            yield from self._row_complaints(operation)
        if operation.takes_rows and self.create_of(operation.collection) is None:
            yield f"takes rows of {operation.collection}, and no operation says what one is made of"
        if operation.body is not None and operation.media_type not in (JSON, FORM, NDJSON):
            yield f"takes {operation.media_type}; teach perf.visitor to make it"
        if operation.slo_ms < 0:
            yield f"{SLO} must be a whole number of milliseconds from 1"
        if not operation.successes:
            yield "documents no answer of success"

    def _row_complaints(self, operation: Operation) -> Iterator[str]:
        makes, lists = self.create_of(operation.collection), self.list_of(operation.collection)
        if makes is None and lists is None:
            yield f"{operation.collection} can be neither listed nor added to, so there is no row to call it for"
        elif makes is None and (operation.method == "DELETE" or operation.revives_row):
            yield f"nothing makes rows of {operation.collection}, and the load test deletes its own only"
        elif operation.revives_row and self.delete_of(operation.collection) is None:
            yield f"nothing deletes rows of {operation.collection}, so there is none to restore"


class Deck:
    """Deals operations as often as their weights say, in no order."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._cards: list[Operation] = []

    def draw(self) -> Operation:
        """The next operation that anybody calls."""
        if not self._cards:
            self._cards = list(self._api.weighted())
            random.shuffle(self._cards)
        return self._cards.pop()


def _operation(method: str, path: str, item: Mapping[str, Any]) -> Operation:
    described = item[method]
    content: Mapping[str, Any] = described.get("requestBody", {}).get("content", {})
    media_type = NDJSON if NDJSON in content else next(iter(content), None)
    parameters = [*item.get("parameters", ()), *described.get("parameters", ())]
    query = [parameter for parameter in parameters if parameter["in"] == "query"]
    return Operation(
        method=method.upper(),
        path=path,
        operation_id=described["operationId"],
        successes=_successes(described["responses"]),
        is_secured=bool(described.get("security")),
        body=content[media_type]["schema"] if media_type else None,
        media_type=media_type,
        query={parameter["name"]: parameter["schema"] for parameter in query if parameter.get("required")},
        optional_query=frozenset(parameter["name"] for parameter in query if not parameter.get("required")),
        slo_ms=_slo(described),
    )


def _slo(described: Mapping[str, Any]) -> int:
    """The bound that an operation states, 0 for none, and less for one that is no bound."""
    stated = described.get(SLO, 0)
    is_bound = isinstance(stated, int) and (stated > 0 or SLO not in described)
    return stated if is_bound else -1


def _row_schema(described: Mapping[str, Any]) -> str:
    """The reference to the schema of the row that a get answers with, the first of several."""
    schema = described["responses"].get("200", {}).get("content", {}).get(JSON, {}).get("schema", {})
    return str((schema.get("anyOf") or [schema])[0].get("$ref", ""))


def _expanded(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The members that refer to one row, and the reference to the schema of that row."""
    schemas = document.get("components", {}).get("schemas", {})
    for name, schema in schemas.items():
        if name.endswith("Partial"):
            for member, value in schema.get("properties", {}).items():
                for arm in value.get("anyOf", ()):
                    if "$ref" in arm and f"{member}_id" in schema["properties"]:
                        yield f"{member}_id", arm["$ref"]


def _successes(statuses: Iterable[str]) -> frozenset[int]:
    return frozenset(int(status) for status in statuses if status.startswith("2"))
