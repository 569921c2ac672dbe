"""A registered entity in a running application, as an administrator's HTTP client sees it."""

import itertools
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from httpx2 import Response
from starlette.testclient import TestClient

from rowhouse.core.clock import now
from rowhouse.entities.model import Mark
from rowhouse.registration.registry import Registration
from rowhouse.schemas.links import LINKS
from tests.conftest import sign_up
from tests.contract.bodies import Bodies, Schema
from tests.contract.registrations import Api
from tests.openapi_documents import Document

Headers = Mapping[str, str]
Row = dict[str, Any]
_numbers = itertools.count(1)


def _booking(number: int) -> Row:
    start = now() + timedelta(days=1, minutes=91 * number % 100_000)  # so that no two overlap
    return {"start_time": start.isoformat(), "end_time": (start + timedelta(minutes=30 + number % 60)).isoformat()}


def _later(row: Row) -> Row:
    start, end = (datetime.fromisoformat(row[name]) + timedelta(minutes=1) for name in ("start_time", "end_time"))
    return {"start_time": start.isoformat(), "end_time": end.isoformat()}


# What a schema cannot say of an entity's values: rules over several members, and patterns.
BODIES: dict[str, Callable[[int], Row]] = {
    "bookings": _booking,
    "crates": lambda number: {"label": f"label {number}"},
    "exhibits": lambda number: {"code": f"code {number}"},
    "users": lambda number: {"role": "user"},
    "everythings": lambda number: {"patterned": f"AB-{number}"},
    "labels": lambda number: {"is_hidden": False},
    "loans": lambda number: {"ticket": f"ticket {number}"},
    "parcels": lambda number: {"status": "public"},
    "periods": lambda number: {"first_day": "2030-01-01", "last_day": (None, "2030-01-01", "2030-02-01")[number % 3]},
}
CHANGES: dict[str, Callable[[Row], Row]] = {
    "bookings": _later,
    "crates": lambda row: {"label": f"{row['label']} again"},
    "exhibits": lambda row: {"code": f"{row['code']} again"},
    "everythings": lambda row: {"patterned": "CD-1"},
    "loans": lambda row: {"ticket": f"{row['ticket']} again"},
    "parcels": lambda row: {"weight": row["weight"] + 1},
    "periods": lambda row: {"first_day": "2029-12-31", "last_day": str(date(2031, 1, 1))},
}


# What must exist before a row can be created, beside the rows that it refers to.
Preparation = Callable[["RunningApp", Headers], None]


class RunningApp:
    """One application on one database."""

    def __init__(
        self, client: TestClient, api: Api, admin: Headers, *, preparations: Mapping[str, Preparation] | None = None
    ) -> None:
        self.client = client
        self.api = api
        self.registry = api.registry
        self.admin = admin
        self.preparations = preparations or {}
        self._callers: dict[str, Headers] = {}
        self._kept: dict[str, list[Any]] = {}

    @property
    def document(self) -> Document:
        """The OpenAPI document."""
        return self.api.document

    @cached_property
    def bodies(self) -> Bodies:
        """The generator of valid values."""
        return Bodies(self.document)

    @cached_property
    def admin_id(self) -> int:
        """The id of the administrator's account."""
        return int(self.client.get("/api/v1/users/me", headers=self.admin).json()["id"])

    def caller(self, name: str, role: str | None = None) -> Headers:
        """Return the headers of an account, which is created when its name is first used."""
        if name not in self._callers:
            self._callers[name] = sign_up(self.client, role or self.api.role)
        return self._callers[name]

    def kept(self, path: str) -> list[Any]:
        """Return the ids of an entity's shared rows, which the entity fills."""
        return self._kept.setdefault(path, [])

    def entity(self, path: str) -> "EntityClient":
        """Return an entity by its path."""
        return EntityClient(self, self.registry.registrations[path])

    def entity_of(self, table: str) -> "EntityClient":
        """Return an entity by its table."""
        return next(
            self.entity(path) for path, r in self.registry.registrations.items() if r.resource.table.name == table
        )


class EntityClient:
    """One entity: its registration, its paths and its rows."""

    def __init__(self, running_app: RunningApp, registration: Registration) -> None:
        self.running_app = running_app
        self.registration = registration
        self.resource = registration.resource
        self.name = self.resource.name
        self.path = f"{running_app.registry.prefix}/{self.resource.path}"
        self.owner = self.resource.owner

    # -- the plan ----------------------------------------------------------------------------------------------------

    @property
    def create(self) -> Mapping[str, Schema]:
        """The members of the Create schema that are columns."""
        members = self.running_app.bodies.members(f"{self.name}Create")
        return {name: schema for name, schema in members.items() if LINKS not in schema}

    @property
    def links(self) -> Mapping[str, str]:
        """The members that link rows, each with the path of their entity."""
        members = self.running_app.bodies.members(f"{self.name}Create")
        return {name: schema[LINKS] for name, schema in members.items() if LINKS in schema}

    @property
    def required(self) -> list[str]:
        """The required members of the Create schema."""
        return self.running_app.bodies.required(f"{self.name}Create")

    @property
    def update(self) -> Mapping[str, Schema]:
        """The members of the Update schema."""
        return self.running_app.bodies.members(f"{self.name}Update")

    @property
    def public(self) -> Mapping[str, Schema]:
        """The members of a response."""
        return self.running_app.bodies.members(f"{self.name}Public")

    @property
    def references(self) -> dict[str, sa.Column[Any]]:
        """The members that refer to rows, and the column that each refers to. Without the owner."""
        columns = {name: column.column for name, column in self.resource.columns.items() if name != self.owner}
        return {name: next(iter(c.foreign_keys)).column for name, c in columns.items() if c.foreign_keys}

    def marked(self, mark: Mark) -> set[str]:
        """Return the members with a mark."""
        return {name for name, column in self.resource.columns.items() if mark in column.marks}

    @property
    def parameters(self) -> dict[str, Schema]:
        """Return the query parameters of the list, each with its schema."""
        listed = self.running_app.document["paths"][self.path]["get"]["parameters"]
        return {parameter["name"]: parameter["schema"] for parameter in listed}

    # -- rows --------------------------------------------------------------------------------------------------------

    def call(self, method: str, path: str = "", headers: Headers | None = None, **options: Any) -> Response:
        """Send a request below the entity's path, as administrator unless `headers` says otherwise."""
        who = self.running_app.admin if headers is None else headers
        return self.running_app.client.request(
            method, f"{self.path}{path}", headers={**who, **options.pop("extra", {})}, **options
        )

    def body(self, **values: Any) -> Row:
        """Return a valid body with every member. References lead to new rows."""
        self.prepare(self.running_app.admin)
        number = next(_numbers)
        special = BODIES.get(self.resource.path)
        extra = {**(special(number) if special else {}), **values}
        made = {name: self.value(name, schema, number) for name, schema in self.create.items() if name not in extra}
        return made | extra

    def value(self, name: str, schema: Schema, number: int) -> Any:
        """Return a valid value of one member."""
        target = self.references.get(name)
        if target is None:
            return self.running_app.bodies.value(schema, number)
        if target.table is self.resource.table:
            return None
        return self.running_app.entity_of(target.table.name).make_plain()[target.name]

    def prepare(self, headers: Headers) -> None:
        """Make sure that the caller can create a row."""
        prepare = self.running_app.preparations.get(self.resource.path)
        if prepare is not None:
            prepare(self.running_app, headers)

    def make(self, headers: Headers | None = None, /, **values: Any) -> Row:
        """Create a row."""
        body = self.body(**values)
        if headers is not None:
            self.prepare(headers)
        return self._stored(self.call("POST", headers=headers, json=body))

    def rows(self, count: int) -> list[Row]:
        """Return rows in the order of their keys, shared by tests that only read them, because creating them is slow."""
        kept = self.running_app.kept(self.resource.path)
        # Some may be gone: who makes an order empties the cart.
        found = self.list(id__in=",".join(map(str, kept)), size=100)["items"] if kept else []
        found += [self.make() for _ in range(count - len(found))]
        kept[:] = [row["id"] for row in found]
        return sorted(found, key=lambda row: row["id"])[:count]

    def make_plain(self) -> Row:
        """Create a row with the required members only."""
        full = self.body()
        return self._stored(self.call("POST", json={name: full[name] for name in self.required}))

    def change(self, row: Row, name: str) -> Row:
        """Return a valid change of one member."""
        special = CHANGES.get(self.resource.path)
        extra = special(row) if special else {}
        number = next(_numbers)
        return {name: extra[name] if name in extra else self.value(name, self.update[name], number + (number % 4 == 3))}

    def stored(self, row: Row) -> Row:
        """Return the row as it is stored now."""
        answer = self.call("GET", f"/{row['id']}")
        assert answer.status_code == 200, answer.text
        found: Row = answer.json()
        return found

    def list(self, headers: Headers | None = None, /, **query: Any) -> Any:
        """Return a page of the list."""
        answer = self.call("GET", headers=headers, params=query)
        assert answer.status_code == 200, (query, answer.text)
        return answer.json()

    def total(self) -> int:
        """Return the number of rows."""
        return int(self.list(size=1)["total"])

    def _stored(self, answer: Response) -> Row:
        assert answer.status_code == 201, answer.text
        row: Row = answer.json()
        return row
