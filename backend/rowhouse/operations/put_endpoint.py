"""`PUT /countries/FR` where clients name the keys: it creates the row, or changes it if it is there.

Elsewhere PUT is PATCH under another name.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json
from starlette.responses import Response

from rowhouse.core.errors import (
    ConflictError,
    EmptyUpdateError,
    InvalidInputError,
    NotFoundError,
    PreconditionFailedError,
    TransactionRetryError,
)
from rowhouse.db.compiled import EVERYTHING, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.operations.endpoints import Endpoints
from rowhouse.operations.request import OperationRequest
from rowhouse.sql.statements import ROW_KEY


class PutEndpoint:
    """The operation of one resource whose keys clients name."""

    def __init__(self, endpoints: Endpoints, body: Any) -> None:
        self._endpoints = endpoints
        self._crud, self._resource = endpoints.crud, endpoints.resource
        self._body = TypeAdapter(body).validator
        members = self._resource.schemas.create.model_fields
        self._key_members = [name for name in self._resource.key.names if name in members]

    def put_row(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Create the row, or change the members that are sent."""
        request.authorize(unit, self._resource.write)
        request.reject_query()
        key = self._endpoints.parse_key(request)
        body = self._endpoints.parse(self._body, request.body)
        values = {name: body.__dict__[name] for name in body.model_fields_set}
        self._check_key(key, values)
        try:
            row = self._change(request, unit, key, values)
        except NotFoundError as error:
            if error.path:  # the row exists, and a row that it owns is missing
                raise
            if b"if-match" in request.headers:
                raise PreconditionFailedError from None
            if not self._is_own(unit, key):
                raise
        else:
            return self._endpoints.changed_response(request, unit, row)
        return self._create(request, unit, key)

    def _check_key(self, key: Any, values: Mapping[str, Any]) -> None:
        """Reject a body that names another key than the path."""
        for name, part in self._resource.key.values(key).items():
            if name in values and values[name] != part:
                raise InvalidInputError.at("body", name, message="the path names another key", kind="key_mismatch")

    def _is_own(self, unit: UnitOfWork, key: Any) -> bool:
        """Return whether a new row with this key would belong to the caller."""
        parts = self._resource.key.values(key)
        owner = self._resource.owner
        return owner not in parts or (unit.caller is not None and parts[owner] == unit.caller.id)

    def _change(self, request: OperationRequest, unit: UnitOfWork, key: Any, values: Row) -> Row:
        """Change the row, and return it as stored.

        Raises:
            NotFoundError: it does not exist, or is out of the caller's scope.
            PreconditionFailedError: 412 as `If-Match` and `If-None-Match` ask.
            EmptyUpdateError: 400 if the body has no members, and the row has some to change.
            InvalidInputError: 422 if it would change what is set at creation only.
        """
        self._endpoints.check_version(request, unit, key)
        updatable = self._resource.schemas.update.model_fields
        changes = {name: value for name, value in values.items() if name in updatable}
        fixed = {name: value for name, value in values.items() if name not in updatable}
        if changes and not fixed.keys() - self._key_members:
            return self._crud.update(unit, key, changes)
        stored = self._crud.lock(unit, key)
        present = {name: stored[name] for name in self._resource.schemas.row_names}
        for name, value in fixed.items():
            if stored[name] != value:
                message = "this is set when the row is created, and never changes"
                raise InvalidInputError.at("body", name, message=message, kind="create_only")
        if not fixed.keys() - self._key_members and not changes and updatable:
            raise EmptyUpdateError
        return self._crud.update(unit, key, changes) if changes else present

    def _create(self, request: OperationRequest, unit: UnitOfWork, key: Any) -> Response:
        """Insert the row. If another request has inserted it meanwhile, begin again and change it."""
        values = self._endpoints.parse_creation(self._with_key(request.body, key)).__dict__
        unit.begin()
        try:
            with unit.savepoint():
                row = self._crud.create(unit, values)
        except ConflictError:
            if unit.run(self._crud.statements.get(EVERYTHING), {ROW_KEY: key}):
                self._crud.get(unit, key)
                raise TransactionRetryError(reason="another request has inserted the row") from None
            raise
        location = request.row_location(self._resource.key.text(key))
        prefer = request.headers.get(b"prefer")
        return self._endpoints.row_response(row, status=201, headers={"Location": location}, prefer=prefer)

    def _with_key(self, body: bytes, key: Any) -> bytes:
        """Return the body of a create: that of the request with the key of the path."""
        parts = self._resource.key.values(key)
        members = to_json({name: parts[name] for name in self._key_members})[:-1]
        rest = body.strip()[1:]
        return members + (b"" if rest.strip() == b"}" else b",") + rest
