"""Stores valid rows of any registered entity, with the rows that they refer to: the fixtures `make` and `body_of`.

A row that a client could create is created through the API, so it passes the rules of the entity. Any other row, such
as one of an entity without create, is stored by a session.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import sqlalchemy as sa
from pydantic import TypeAdapter
from pydantic_core import to_jsonable_python
from sqlmodel import SQLModel

from rowhouse.app.jobs import unit
from rowhouse.auth.models import ADMINISTRATOR, User, caller_of
from rowhouse.core.policy import Policy
from rowhouse.query.keys import Key
from rowhouse.query.resource import Resource
from rowhouse.registration.registry import Registration, Registry
from rowhouse.schemas.columns import Column
from rowhouse.testing.accounts import Headers
from rowhouse.testing.bodies.maker import Bodies, ContractValues, Row
from rowhouse.testing.bodies.values import UnguessableError

if TYPE_CHECKING:
    from rowhouse.testing.running_app import RunningApp

__all__ = ["BodyOf", "ContractValues", "Factory", "Make", "RefusedBodyError"]
NESTING = 20


class RefusedBodyError(AssertionError):
    """The project refused a body that was derived from its classes. The message says where to say what is valid."""


class Make(Protocol):
    """The type of the fixture `make`."""

    def __call__(self, model: type[SQLModel], /, **values: Any) -> Row:
        """Store a row, and return it as a GET shows it."""


class BodyOf(Protocol):
    """The type of the fixture `body_of`."""

    def __call__(self, model: type[SQLModel], /, **values: Any) -> Row:
        """Return a valid body."""


class Factory:
    """Stores rows in one running application."""

    def __init__(self, running: "RunningApp") -> None:
        self._running = running
        self._bodies: dict[sa.Table, Bodies] = {}
        self._depth = 0

    # -- the fixtures ------------------------------------------------------------------------------------------------

    def body_of(self, model: type[SQLModel], /, **values: Any) -> Row:
        """Return a valid body with every member. The rows that it refers to are stored.

        Raises:
            LookupError: the class is not registered.
            RefusedBodyError: a row that it refers to was refused.
        """
        _, registration = self._registered(model.__table__)  # type: ignore[attr-defined]  # SQLAlchemy sets it
        return self._body(registration, values)

    def make(self, model: type[SQLModel], /, **values: Any) -> Row:
        """Store a row and the rows that it refers to. Return it as a GET shows it.

        Raises:
            LookupError: the class is not registered.
            RefusedBodyError: the row was refused.
        """
        table: sa.Table = model.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
        return self.store(table, values)

    # -- for the contract suite --------------------------------------------------------------------------------------

    def bodies(self, resource: Resource) -> Bodies:
        """Return the maker of an entity's bodies."""
        if resource.table not in self._bodies:
            self._bodies[resource.table] = Bodies(resource)
        return self._bodies[resource.table]

    def parent(self, table: sa.Table, headers: Headers | None = None) -> Row:
        """Store a row of a table with its required members alone. It belongs to `headers`, if they may own it."""
        return self.store(table, {}, full=False, headers=headers)

    def store(self, table: sa.Table, values: Row, *, full: bool = True, headers: Headers | None = None) -> Row:
        """Store a row of a table with these values. `headers` are those of who creates it."""
        with self._nested(table):
            if table.name == User.__tablename__:
                return self._account(values)
            registry, registration = self._registered(table)
            body = self._body(registration, values, full=full)
            if (
                "create" in registration.operations
                and values.keys() <= self.bodies(registration.resource).create.keys()
            ):
                return self.create(registry, registration, body, headers)
            return self._store_in_session(registry, registration, body, values)

    def create(self, registry: Registry, registration: Registration, body: Row, headers: Headers | None = None) -> Row:
        """Create a row through the API: as `headers` if they may own it, else as an account that may.

        Raises:
            RefusedBodyError: the response is not 201.
        """
        resource = registration.resource
        is_theirs = headers and resource.owner and resource.write.allows(caller_of(headers.id, headers.role))
        who = headers if headers and is_theirs else self.account_for(resource.write)
        path = f"{registry.prefix}/{resource.path}"
        answer = self._running.client.post(path, json=body, headers=who)
        if answer.status_code != 201:
            raise RefusedBodyError(self.refusal(resource, f"POST {path}", body, f"{answer.status_code} {answer.text}"))
        row: Row = answer.json()
        return row

    def refusal(self, resource: Resource, request: str, body: object, answer: str) -> str:
        """Return the message about a body that was refused: what was sent, the answer, and what to do."""
        name = resource.name
        return (
            f"{request} refused a body that was derived from {name}:\n  {answer}\nThe body was\n  "
            f"{json.dumps(body, ensure_ascii=False)}\n"
            f"If a rule of {name} cannot be guessed from its class, state valid values in the fixture contract_values "
            f'in {self._running.place}:\n    return {{"{name}": {{"member": lambda number: ...}}}}'
        )

    def account_for(self, policy: Policy) -> Headers:
        """Return an account that satisfies a policy: an administrator if one does."""
        roles = (ADMINISTRATOR, "user", *sorted({name for r in self._running.registries for name in r.roles}))
        role = next(role for role in roles if policy.anyone or policy.roles is None or role in policy.roles)
        return self._running.accounts.shared(role)

    # -- within ------------------------------------------------------------------------------------------------------

    def _all(self) -> Iterator[tuple[Registry, Registration]]:
        for registry in self._running.registries:
            for registration in registry.registrations.values():
                yield registry, registration

    def _registered(self, table: sa.Table) -> tuple[Registry, Registration]:
        for registry, registration in self._all():
            if registration.resource.table.fullname == table.fullname:
                return registry, registration
        raise LookupError(
            f"the table {table.fullname} belongs to no registered class, so no row of it can be derived; "
            f"store one yourself, and name it in the fixture contract_values in {self._running.place}"
        )

    def _body(self, registration: Registration, values: Row, *, full: bool = True) -> Row:
        bodies = self.bodies(registration.resource)
        return bodies.body(self.parent, self._running.contract_values, to_jsonable_python(values), full=full)

    @contextmanager
    def _nested(self, table: sa.Table) -> Iterator[None]:
        """Limit how many rows refer to each other."""
        if self._depth > NESTING:
            raise UnguessableError(
                f"the rows that {table.name} needs refer to each other in a circle; "
                f"store one yourself, and name it in the fixture contract_values in {self._running.place}"
            )
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def _account(self, values: Row) -> Row:
        headers = self._running.accounts.create(values.get("role", "user"))
        with unit(self._running.app) as work:
            account = work.session.get_one(User, headers.id)
            for name, value in values.items():
                setattr(account, name, value)
            work.session.flush()
            work.session.refresh(account)
            return self._shown(account, User.model_fields.keys() - {"hashed_password", "token_version"})

    def _store_in_session(self, registry: Registry, registration: Registration, body: Row, values: Row) -> Row:
        resource = registration.resource
        row = resource.model(**self._columns(resource, body, values))
        with unit(self._running.app) as work:
            work.session.add(row)
            work.session.flush()
            work.session.refresh(row)
            shown = self._shown(row, resource.schemas.public_names)
        if "get" not in registration.operations:
            return shown
        path = f"{registry.prefix}/{resource.path}/{segment_of(resource.key, shown)}"
        answer = self._running.client.get(path, headers=self.account_for(resource.read))
        assert answer.status_code == 200, f"GET {path} does not show the row that was stored: {answer.text}"
        found: Row = answer.json()
        return found

    def _columns(self, resource: Resource, body: Row, values: Row) -> dict[str, Any]:
        """Return the values of a row's columns as Python has them."""
        sent = {name: value for name, value in body.items() if name in resource.schemas.create.model_fields}
        parsed = TypeAdapter(resource.schemas.create).validate_json(json.dumps(to_jsonable_python(sent)))
        found = {name: getattr(parsed, name) for name in sent}
        bodies = self.bodies(resource)
        for name, column in resource.columns.items():
            if name in values and name not in found:
                found[name] = _python_value(column, values[name])
            elif name not in found and name == resource.owner:
                found[name] = self.account_for(resource.write).id
            elif name not in found and _needs_value(column):
                found[name] = _python_value(column, bodies.column_value(column))
        return found

    def _shown(self, row: SQLModel, names: Any) -> Row:
        found = {name: getattr(row, name) for name in names if hasattr(row, name)}
        return {name: _in_json(value) for name, value in found.items()}


def segment_of(key: Key, row: Row) -> str:
    """Return the segment of a row's path, from a row as a response shows it."""
    return quote(key.text(key.of(row)), safe=",")


def _in_json(value: Any) -> Any:
    """Return a value as a response shows it."""
    return b64encode(value).decode() if isinstance(value, bytes) else to_jsonable_python(value)


def _needs_value(column: Column) -> bool:
    """Return whether a column that no client sets has neither a default nor null."""
    is_set = column.column.primary_key or column.is_timestamp or column.nullable
    return not is_set and column.info.is_required() and column.column.server_default is None


def _python_value(column: Column, value: Any) -> Any:
    if value is None:
        return None
    json_value = json.dumps(to_jsonable_python(value))
    return TypeAdapter(column.base).validate_json(json_value)
