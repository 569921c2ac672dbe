"""The operations of one resource, from a request's bytes to its response; every one runs inside one worker thread.

Knows headers, bodies and status codes; what happens to rows is `CRUDBase`'s.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from annotated_types import MaxLen, MinLen
from pydantic import BaseModel, BeforeValidator, TypeAdapter, ValidationError
from starlette.responses import Response

from rowhouse.core.errors import EmptyUpdateError, InvalidInputError
from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.operations.expand import Expansion, partial_schema, viewed_row
from rowhouse.operations.page_request import JSON, PageRequest, page_response
from rowhouse.operations.request import OperationRequest
from rowhouse.query.projection import Projection, ProjectionParameters
from rowhouse.query.query_string import parse_query
from rowhouse.query.resource import Resource
from rowhouse.schemas.json_types import INTEGER_TEXT

BATCH = (MinLen(1), MaxLen(1000))


class Endpoints:
    """Each public method answers one generated operation."""

    def __init__(self, resource: Resource, crud: CRUDBase[Any], expansions: Mapping[str, Expansion]) -> None:
        self.resource = resource
        self.crud = crud
        self._expansions = expansions
        schemas = resource.schemas
        self._row = TypeAdapter(schemas.row_type).serializer
        self._rows = TypeAdapter(list[schemas.row_type]).serializer  # type: ignore[name-defined]  # made at run time
        self.partial = partial_schema(resource)
        viewed: Any = viewed_row(resource)
        self._viewed = TypeAdapter(viewed).serializer
        self._viewed_rows = TypeAdapter(list[viewed]).serializer
        self.projection_parameters = ProjectionParameters(
            schemas.public.model_fields, resource.relations, name=resource.name
        )
        key: Any = key_annotation(resource)
        self._key = TypeAdapter(key).validator
        self._keys = TypeAdapter(Annotated[list[key], *BATCH]).validator
        creation: Any = schemas.create
        change: Any = schemas.batch_update
        self._creations = TypeAdapter(Annotated[list[creation], *BATCH]).validator
        self._changes = TypeAdapter(Annotated[list[change], *BATCH]).validator

    def list_rows(self, call: OperationRequest, unit: UnitOfWork) -> Response:
        """A page of the rows that the caller may read and the filters select."""
        call.authorize(unit, self.resource.read)
        request = PageRequest(call.query, self.resource.parameters, path=self.resource.path, unit=unit)
        page = self.crud.list(unit, request.query)
        end = request.end_of(page)
        return page_response(self._items(unit, page.rows, request.query.projection), end)

    def _items(self, unit: UnitOfWork, rows: Sequence[Row], view: Projection) -> bytes:
        self.crud.load_extra_fields(rows, unit=unit)
        if view.is_full:
            return self._rows.to_json(rows, warnings=False)
        return self._viewed_rows.to_json(self._view(unit, rows, view), warnings=False)

    def _view(self, unit: UnitOfWork, rows: Sequence[Row], view: Projection) -> Sequence[Row]:
        """The rows with what is expanded in them, narrowed to the members that are shown."""
        for name in sorted(view.expand):
            self._expansions[name].embed(unit, rows)
        if view.fields is None:
            return rows
        shown = view.fields | view.expand
        return [{name: value for name, value in row.items() if name in shown} for row in rows]

    def get_row(self, call: OperationRequest, unit: UnitOfWork) -> Response:
        """The row, or 304 where the client has this version of it."""
        call.authorize(unit, self.resource.read)
        view = self.projection_parameters.parse(call.query)
        row = self.crud.get(unit, self._parse_key(call))
        tag = self.crud.version(row)
        known = call.tags(b"if-none-match")
        if known and any(tag == other.removeprefix("W/") or other == "*" for other in known):
            return Response(status_code=304, headers={"ETag": tag})
        self.crud.load_extra_fields([row], unit=unit)
        if view.is_full:
            return self._answer(row)
        viewed = self._view(unit, [row], view)[0]
        return Response(self._viewed.to_json(viewed, warnings=False), headers={"ETag": tag}, media_type=JSON)

    def create_row(self, call: OperationRequest, unit: UnitOfWork) -> Response:
        """Store a new row; `Location` leads to it."""
        call.authorize(unit, self.resource.write)
        call.reject_query()
        body = self._parse(self.resource.schemas.create.__pydantic_validator__, call.body)
        return call.once(unit, lambda: self._create(call, unit, body))

    def _create(self, call: OperationRequest, unit: UnitOfWork, body: BaseModel) -> Response:
        row = self.crud.create(unit, body.__dict__)
        return self._answer(row, status=201, headers={"Location": call.location(row[self.resource.key.name])})

    def update_row(self, call: OperationRequest, unit: UnitOfWork) -> Response:
        """Change the members that are sent; the others stay as they are."""
        call.authorize(unit, self.resource.write)
        call.reject_query()
        key = self._parse_key(call)
        body = self._parse(self.resource.schemas.update.__pydantic_validator__, call.body)
        if not body.model_fields_set:
            raise EmptyUpdateError
        self._check_version(call, unit, key)
        values = body.__dict__
        return self._answer(self.crud.update(unit, key, {name: values[name] for name in body.model_fields_set}))

    def delete_row(self, call: OperationRequest, unit: UnitOfWork) -> Response:
        """Remove the row."""
        call.authorize(unit, self.resource.write)
        call.reject_query()
        key = self._parse_key(call)
        self._check_version(call, unit, key)
        self.crud.delete(unit, key)
        return Response(status_code=204)

    def create_rows(self, call: OperationRequest, unit: UnitOfWork) -> Response:
        """Store many rows, all or none."""
        call.authorize(unit, self.resource.write)
        call.reject_query()
        bodies = self._parse(self._creations, call.body)
        return call.once(unit, lambda: self._create_rows(unit, [body.__dict__ for body in bodies]))

    def _create_rows(self, unit: UnitOfWork, values: list[Row]) -> Response:
        return Response(self._rows.to_json(self.crud.create_many(unit, values), warnings=False), 201, media_type=JSON)

    def update_rows(self, call: OperationRequest, unit: UnitOfWork) -> Response:
        """Change many rows, all or none."""
        call.authorize(unit, self.resource.write)
        call.reject_query()
        name = self.resource.key.name
        changes = []
        for position, body in enumerate(self._parse(self._changes, call.body)):
            values = {member: body.__dict__[member] for member in body.model_fields_set if member != name}
            if not values:
                raise EmptyUpdateError().element_error(position)
            changes.append((body.__dict__[name], values))
        return Response(self._rows.to_json(self.crud.update_many(unit, changes), warnings=False), media_type=JSON)

    def delete_rows(self, call: OperationRequest, unit: UnitOfWork) -> Response:
        """Remove many rows, all or none."""
        call.authorize(unit, self.resource.write)
        given = parse_query(call.query) if call.query else {}
        for name in given.keys() - {"ids"}:
            message = "this operation has no such parameter"
            raise InvalidInputError.at("query", name, message=message, kind="extra_forbidden")
        try:
            keys = self._keys.validate_python(given.get("ids", "").split(","))
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "query", "ids") from error
        self.crud.delete_many(unit, keys)
        return Response(status_code=204)

    def _check_version(self, call: OperationRequest, unit: UnitOfWork, key: Any) -> None:
        if b"if-match" in call.headers:
            self.crud.require_version(unit, key, call.tags(b"if-match"))

    def _parse_key(self, call: OperationRequest) -> Any:
        try:
            return self._key.validate_python(call.key)
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "path", "id") from error

    def _parse(self, validator: Any, body: bytes) -> Any:
        try:
            return validator.validate_json(body)
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "body") from error

    def _answer(self, row: Row, *, status: int = 200, headers: dict[str, str] | None = None) -> Response:
        return Response(
            self._row.to_json(row, warnings=False), status, {"ETag": self.crud.version(row), **(headers or {})}, JSON
        )


def key_annotation(resource: Resource) -> Any:
    """The primary key as a path parameter takes it."""
    annotation = resource.key.annotation
    if resource.key.base is not int:
        return annotation

    def whole(value: Any) -> Any:
        if isinstance(value, str) and not INTEGER_TEXT.match(value):
            raise ValueError("write a whole number")
        return value

    annotated: Any = Annotated[annotation, BeforeValidator(whole)]
    return annotated
