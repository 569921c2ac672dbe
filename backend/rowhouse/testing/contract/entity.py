"""One entity of a running application as its clients see it: paths, rows, and accounts that may use it."""

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

from httpx2 import Response
from pydantic import BaseModel, ConfigDict, TypeAdapter

from rowhouse.auth.models import ADMINISTRATOR, caller_of
from rowhouse.core.policy import Policy
from rowhouse.entities.model import Mark
from rowhouse.registration.router import possible_operations
from rowhouse.testing.accounts import Headers
from rowhouse.testing.bodies.maker import Bodies, Row
from rowhouse.testing.bodies.values import Schema, Values
from rowhouse.testing.contract.responses import Document, check_documented
from rowhouse.testing.factory import segment_of
from rowhouse.testing.running_app import RunningApp

NOBODY: Mapping[str, str] = {}
BATCH_TAILS = ("batch", "export", "import", "aggregate", "deleted")


class EntityClient:
    """One entity. Writes as an account that may write it, and reads as one that may read it."""

    def __init__(self, running: RunningApp, path: str) -> None:
        self.running = running
        self.path = path
        self.registry, self.registration = next(
            (registry, registration)
            for registry in running.registries
            for name, registration in registry.registrations.items()
            if f"{registry.prefix}/{name}" == path
        )
        self.resource = self.registration.resource
        self.name = self.resource.name
        self.keys = self.resource.key.names
        self.key = self.keys[0]
        self.owner = self.resource.owner
        self.bodies: Bodies = running.factory.bodies(self.resource)
        schema = self.resource.schemas.public.model_json_schema(mode="serialization")
        self.public: Mapping[str, Schema] = schema["properties"]
        self.values = Values(schema.get("$defs", {}))
        self._exact = TypeAdapter(exactly(self.resource.schemas.public))

    # -- the plan ----------------------------------------------------------------------------------------------------

    def has(self, *operations: str) -> bool:
        """Return whether the entity has these operations."""
        return set(operations) <= possible_operations(self.registration.operations, self.resource)

    @property
    def document(self) -> Document:
        """The OpenAPI document of the application."""
        return self.running.document

    @property
    def writer(self) -> Headers:
        """An account that may write, an administrator if one may."""
        return self.running.factory.account_for(self.resource.write)

    @property
    def reader(self) -> Headers:
        """An account that may read and sees every row that the writer makes."""
        readable = self.resource.read.allows
        writer = self.writer
        return (
            writer
            if readable(caller_of(writer.id, writer.role))
            else self.running.factory.account_for(self.resource.read)
        )

    @property
    def roles(self) -> list[str]:
        """Every role of the project."""
        return [
            "user",
            ADMINISTRATOR,
            *sorted({n for r in self.running.registries for n in r.roles} - {"user", "admin"}),
        ]

    def member(self, *policies: Policy) -> Headers:
        """Return a new account that satisfies the policies and is no administrator."""
        roles = [role for role in self.roles if role != ADMINISTRATOR]
        allowed = [role for role in roles if all(p.anyone or p.roles is None or role in p.roles for p in policies)]
        return self.running.accounts.create(allowed[0])

    def marked(self, mark: Mark) -> set[str]:
        """Return the columns with a mark."""
        return {name for name, column in self.resource.columns.items() if mark in column.marks}

    @property
    def timestamps(self) -> set[str]:
        """The columns that the server sets to the instant of a change."""
        return {name for name in (self.resource.created, self.resource.updated) if name}

    @property
    def parameters(self) -> list[str]:
        """The query parameters of the list."""
        listed = self.document["paths"][self.path]["get"]["parameters"]
        return [parameter["name"] for parameter in listed if parameter["in"] == "query"]

    def kind(self, name: str) -> str:
        """Return the kind of a public member, such as `integer` or `date-time`."""
        return self.values.kind(self.public[name])

    # -- requests ----------------------------------------------------------------------------------------------------

    def call(self, method: str, tail: str = "", headers: Mapping[str, str] | None = None, **options: Any) -> Response:
        """Send a request below the entity's path, as who may, and require that the response is documented."""
        if headers is None:
            headers = self.reader if method in ("GET", "HEAD") else self.writer
        sent = {**headers, **options.pop("extra", {})}
        answer = self.running.client.request(method, f"{self.path}{tail}", headers=sent, **options)
        check_documented(self.document, self._template(tail), answer)
        return answer

    def _template(self, tail: str) -> str:
        first, *further = tail.partition("?")[0].removeprefix("/").split("/")
        if not first:
            return self.path
        return f"{self.path}/{first}" if first in BATCH_TAILS else "/".join([self.path, "{id}", *further])

    def row_path(self, row: Row) -> str:
        """Return the part of a row's path behind the entity's."""
        return f"/{segment_of(self.resource.key, row)}"

    def key_of(self, row: Row) -> Any:
        """Return the key of a row: a value, or a tuple of values."""
        return self.resource.key.of(row)

    def keys_in(self, rows: list[Row]) -> list[Any]:
        """Return the keys of rows."""
        return [self.key_of(row) for row in rows]

    def ids(self, rows: list[Row]) -> str:
        """Return the parameter `ids` that names rows."""
        return self.resource.key.list_text(self.keys_in(rows))

    def named(self, row: Row) -> Row:
        """Return the members that name a row in a batch."""
        return {name: row[name] for name in self.keys}

    def shown(self, answer: Response, status: int = 200) -> Row:
        """Require a response with one row, whole and exact, and return it."""
        request = f"{answer.request.method} {answer.request.url.path}"
        if answer.status_code != status:
            body = json.loads(answer.request.content or b"null")
            shown = f"{answer.status_code} {answer.text}"
            raise AssertionError(self.running.factory.refusal(self.resource, request, body, shown))
        row: Row = answer.json()
        self.check_row(row)
        return row

    def check_row(self, row: Row) -> None:
        """Require that a row has the members of the schema and no others, each of its type."""
        self._exact.validate_json(json.dumps(row))

    def body(self, headers: Headers | None = None) -> Row:
        """Return a valid body with every member; some are null where they may be.

        The rows that it refers to belong to `headers`, if they may own them.
        """
        parent = partial(self.running.factory.parent, headers=headers)
        return self.bodies.body(parent, self.running.contract_values, nulls=True)

    def make(self, headers: Headers | None = None) -> Row:
        """Store a row: through the API where the entity has create."""
        if self.has("create"):
            row = self.shown(self.call("POST", headers=headers, json=self.body(headers)), 201)
        else:
            row = self.running.factory.store(self.resource.table, {})
        return row

    def rows(self, count: int) -> list[Row]:
        """Store rows. Return them in the order of their keys."""
        return sorted((self.make() for _ in range(count)), key=self.key_of)

    def change(self, row: Row, name: str) -> Row:
        """Return a valid change of one member."""
        return self.bodies.change(name, row, self.running.factory.parent, self.running.contract_values)

    def plain_change(self, row: Row) -> Row:
        """Return a valid change of the member that depends least on others."""
        return self.change(row, next(iter([*self.bodies.plain, *self.bodies.update])))

    def stored(self, row: Row) -> Row:
        """Return the row as it is stored now."""
        if self.has("get"):
            return self.shown(self.call("GET", self.row_path(row)))
        (found,) = self.listed(self.named(row))["items"]
        return dict(found)

    def listed(self, query: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Any:
        """Return a page of the list."""
        answer = self.call("GET", headers=headers, params=query)
        assert answer.status_code == 200, f"GET {self.path} {query} → {answer.status_code} {answer.text}"
        return answer.json()

    def only(self, rows: list[Row]) -> dict[str, str]:
        """Return the filter that selects these rows alone."""
        return {f"{name}__in": ",".join(dict.fromkeys(str(row[name]) for row in rows)) for name in self.keys}


def exactly(schema: type[BaseModel]) -> type[BaseModel]:
    """Return a response's schema that allows no further member."""

    class Exact(schema):  # type: ignore[misc, valid-type]  # the base is known at run time
        model_config = ConfigDict(extra="forbid")

    return Exact
