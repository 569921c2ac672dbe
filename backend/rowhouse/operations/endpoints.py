"""The operations of one resource, from the bytes of a request to its response. Each runs in one worker thread.

They know headers, bodies and status codes. `CRUDBase` knows the rows.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, SchemaSerializer, SchemaValidator, core_schema, to_json
from starlette.responses import Response

from rowhouse.core.errors import EmptyUpdateError, InvalidInputError, RowhouseError
from rowhouse.core.policy import Policy
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.upsert import Element, Names, unique_keys
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.transition import Transition
from rowhouse.operations.expand import EmbeddedSchemas, Expansion, embed_relations, projected_row
from rowhouse.operations.page_request import JSON, PageRequest, page_response, total_header
from rowhouse.operations.preference import NO_CONTENT, preferred_response
from rowhouse.operations.request import OperationRequest
from rowhouse.query.projection import Projection, ProjectionParameters
from rowhouse.query.resource import Resource

MAX_BATCH = 1000
ON = "on"
REPLACED = "\ufffd"  # what a server makes of bytes that are not UTF-8


class Endpoints:
    """Each public method returns the response of one generated operation."""

    def __init__(
        self,
        resource: Resource,
        crud: CRUDBase[Any],
        expansions: Mapping[str, Expansion],
        embedded: EmbeddedSchemas | None = None,
    ) -> None:
        self.resource = resource
        self.crud = crud
        # Whether clients may create rows, also by PUT where they name the keys.
        self.creates = True
        self._expansions = expansions
        self.embedded = embedded or EmbeddedSchemas()
        schemas = resource.schemas
        self._projected = cache(self._make_projected)
        self._row, self._rows = schemas.row_serializer, schemas.rows_serializer
        self.projection_parameters = ProjectionParameters(schemas.public.model_fields, resource.names_of_expand)
        self._lists_otherwise = type(crud).list is not CRUDBase.list
        self._key_of, self._key_text = resource.key.of, resource.key.text
        self._key, self._keys = _one_and_many(resource.key.annotation)
        self._creation, self._creations = _one_and_many(schemas.create)
        self._change = TypeAdapter(schemas.update).validator
        self._changes = _one_and_many(schemas.batch_update)[1]

    def _make_projected(self, hops: int, *, many: bool) -> SchemaSerializer:
        """Return the serializer of rows with `fields` or `expand`."""
        schema: CoreSchema = TypeAdapter(projected_row(self.resource, hops=hops)).core_schema
        return SchemaSerializer(core_schema.list_schema(schema) if many else schema)

    def list_rows(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Return a page of the rows that the caller may read and the filters select."""
        request.authorize(unit, self.resource.read)
        page_request = PageRequest(request.query, self.resource.parameters, path=request.path, unit=unit)
        page = self.crud.list(unit, page_request.query)
        end = page_request.end_of(page)
        return page_response(self._items(unit, page.rows, page_request.query.projection), end, total=page.total)

    def head_of_list(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Return the headers of a page. The rows are counted and not read, unless the headers depend on a row."""
        request.authorize(unit, self.resource.read)
        query = PageRequest(request.query, self.resource.parameters, path=request.path, unit=unit).query
        if query.shape.nulls is not None or query.projection.expand or self._lists_otherwise:
            return self.list_rows(request, unit)
        total = self.crud.lists.count(unit, query, self.crud.selected(unit, query))
        response = Response(headers=total_header(total), media_type=JSON)
        del response.headers["content-length"]  # unknown without the rows
        return response

    def _items(self, unit: UnitOfWork, rows: Sequence[Row], projection: Projection) -> bytes:
        self.crud.load_extra_fields(rows, unit=unit)
        if projection.is_full:
            return self._rows.to_json(rows, warnings=False)
        serializer = self._projected(projection.hops, many=True)
        return serializer.to_json(self._project(unit, rows, projection), warnings=False)

    def _project(self, unit: UnitOfWork, rows: Sequence[Row], projection: Projection) -> Sequence[Row]:
        """Return the rows with their expanded relations, and only with the fields that the client asked for."""
        embed_relations(unit, rows, projection.expand, self._expansions)
        if projection.fields is None:
            return rows
        shown = projection.fields | {name.partition(".")[0] for name in projection.expand}
        return [{name: value for name, value in row.items() if name in shown} for row in rows]

    def get_row(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Return the row, or 304 if the client has this version of it."""
        request.authorize(unit, self.resource.read)
        projection = self.projection_parameters.parse(request.query)
        row = self.crud.get(unit, self.parse_key(request))
        tag = self.crud.version(row)
        known = request.tags(b"if-none-match")
        if known and any(tag == other.removeprefix("W/") or other == "*" for other in known):
            return Response(status_code=304, headers={"ETag": tag})
        self.crud.load_extra_fields([row], unit=unit)
        if projection.is_full:
            return self.row_response(row)
        projected = self._project(unit, [row], projection)[0]
        content = self._projected(projection.hops, many=False).to_json(projected, warnings=False)
        return Response(content, headers={"ETag": tag}, media_type=JSON)

    def create_row(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Insert a row. `Location` has its path."""
        request.authorize(unit, self.resource.write)
        request.reject_query()
        request.reject_conditions()
        body = self.parse(self._creation, request.body)
        return request.once(unit, lambda: self._create(request, unit, body))

    def _create(self, request: OperationRequest, unit: UnitOfWork, body: BaseModel) -> Response:
        row = self.crud.create(unit, body.__dict__)
        location = request.location(self._key_text(self._key_of(row)))
        prefer = request.headers.get(b"prefer")
        return self.row_response(row, status=201, headers={"Location": location}, prefer=prefer)

    def update_row(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Change the members that are sent."""
        request.authorize(unit, self.resource.write)
        request.reject_query()
        key = self.parse_key(request)
        body = self.parse(self._change, request.body)
        if not body.model_fields_set:
            raise EmptyUpdateError
        self.check_version(request, unit, key)
        values = body.__dict__
        row = self.crud.update(unit, key, {name: values[name] for name in body.model_fields_set})
        return self.changed_response(request, unit, row)

    def take_step(
        self, request: OperationRequest, unit: UnitOfWork, *, transition: Transition[Any], admits: Policy
    ) -> Response:
        """Take a step of the row. `admits` is the policy that is checked before the row is read.

        A row that the caller does not see is 404 before the policy of the step refuses them.
        """
        request.authorize(unit, admits)
        request.reject_query()
        request.reject_body()
        key = self.parse_key(request)
        policy = transition.policy or self.resource.write
        if not policy.allows(unit.caller):
            self.crud.lock(unit, key)
            policy.check(unit.caller)
        return request.once(unit, lambda: self._take_step(request, unit, key, transition))

    def _take_step(
        self, request: OperationRequest, unit: UnitOfWork, key: Any, transition: Transition[Any]
    ) -> Response:
        self.check_version(request, unit, key)
        row = self.crud.take_step(unit, key, transition)
        if not self.crud.extra_fields.keys() <= row.keys():
            self.crud.load_extra_fields([row], unit=unit)
        return self.changed_response(request, unit, row)

    def delete_row(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Delete the row."""
        request.authorize(unit, self.resource.write)
        request.reject_query()
        key = self.parse_key(request)
        self.check_version(request, unit, key)
        self.crud.delete(unit, key)
        return Response(status_code=204)

    def create_rows(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Insert many rows, all or none. With `on`, change those that exist."""
        request.authorize(unit, self.resource.write)
        request.reject_conditions()
        on = self.parse_on(request)
        bodies = self.parse(self._creations, request.body)
        if on is not None:
            return request.once(unit, lambda: self._upsert_rows(request, unit, elements_of(bodies), on))
        return request.once(unit, lambda: self._create_rows(request, unit, [body.__dict__ for body in bodies]))

    def _create_rows(self, request: OperationRequest, unit: UnitOfWork, values: list[Row]) -> Response:
        rows = self.crud.create_many(unit, values)
        return _content(request, lambda: self._rows.to_json(rows, warnings=False), status=201)

    @cached_property
    def unique_keys(self) -> Mapping[str, Names]:
        """The unique keys that `on` may name, by its value."""
        return unique_keys(self.resource)

    def parse_on(self, request: OperationRequest) -> Names | None:
        """Return the columns of the unique key that `on` names, or None without it.

        Raises:
            InvalidInputError: 422 if it names no unique key, or for another parameter.
        """
        if not request.query:
            return None
        keys = self.unique_keys
        given = request.parameters(*([ON] if keys else ())).get(ON)
        if given is not None and given not in keys:
            message = f"Input should be {' or '.join(map(repr, keys))}"
            raise InvalidInputError.at("query", ON, message=message, kind="enum")
        return None if given is None else keys[given]

    def _upsert_rows(
        self, request: OperationRequest, unit: UnitOfWork, elements: Sequence[Element], on: Names
    ) -> Response:
        done = self.crud.upsert_many(unit, elements, on=on)
        number = sum(done.created)
        outcomes = ["created" if is_new else "updated" for is_new in done.created]
        head = to_json({"created": number, "updated": len(outcomes) - number, "outcomes": outcomes})
        return self._changed_rows(
            request, unit, lambda: head[:-1] + b',"items":' + self._rows.to_json(done.rows, warnings=False) + b"}"
        )

    def update_rows(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Change many rows, all or none."""
        request.authorize(unit, self.resource.write)
        request.reject_conditions()
        request.reject_query()
        names = self.resource.key.names
        changes = []
        for position, body in enumerate(self.parse(self._changes, request.body)):
            values = {member: body.__dict__[member] for member in body.model_fields_set if member not in names}
            if not values:
                raise EmptyUpdateError().element_error(position)
            changes.append((self._key_of(body.__dict__), values))
        rows = self.crud.update_many(unit, changes)
        return self._changed_rows(request, unit, lambda: self._rows.to_json(rows, warnings=False))

    def _changed_rows(self, request: OperationRequest, unit: UnitOfWork, content: Callable[[], bytes]) -> Response:
        """Return the response to a batch of changes. A caller who may not read the rows gets none."""
        if not self.resource.read.allows(unit.caller):
            return Response(status_code=NO_CONTENT)
        return _content(request, content)

    def delete_rows(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Delete many rows, all or none."""
        request.authorize(unit, self.resource.write)
        request.reject_conditions()
        ids = request.parameters("ids").get("ids", "")
        try:
            keys = self._keys.validate_python(self.resource.key.texts(ids))
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "query", "ids") from error
        try:
            self.crud.delete_many(unit, keys)
        except RowhouseError as error:
            error.origin = ("query", "ids")
            raise
        return Response(status_code=204)

    def check_version(self, request: OperationRequest, unit: UnitOfWork, key: Any) -> None:
        """Require what `If-Match` and `If-None-Match` say of the row, and lock it. Do nothing without these headers."""
        if b"if-match" in request.headers:
            self.crud.require_version(unit, key, request.tags(b"if-match"))
        if b"if-none-match" in request.headers:
            tags = [tag.removeprefix("W/") for tag in request.tags(b"if-none-match")]
            if not tags:
                message = "write entity tags as they were sent, in double quotes, or *"
                raise InvalidInputError.at("header", "If-None-Match", message=message)
            self.crud.require_version(unit, key, tags, known=False)

    def parse_key(self, request: OperationRequest) -> Any:
        """Return the key in the path of a request.

        Raises:
            InvalidInputError: 422 for a text that is no key of this entity.
        """
        if REPLACED in request.key:
            request.require_utf8()
        try:
            return self._key.validate_python(request.key)
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "path", "id") from error

    def parse_creation(self, body: bytes) -> Any:
        """Return a body of the Create schema. Raise `InvalidInputError` as `parse` does."""
        return self.parse(self._creation, body)

    def parse(self, validator: Any, body: bytes) -> Any:
        """Return the value of a body.

        Raises:
            InvalidInputError: 422 if it is not valid.
        """
        try:
            return validator.validate_json(body)
        except ValidationError as error:
            raise InvalidInputError.from_pydantic(error, "body") from error

    def partial_json(self, row: Row) -> bytes:
        """Return a row as JSON, which may lack members."""
        return self._projected(1, many=False).to_json(row, warnings=False)

    def changed_response(self, request: OperationRequest, unit: UnitOfWork, row: Row) -> Response:
        """Return the response to the change of a row. A caller who may not read the row gets its version alone."""
        if not self.resource.read.allows(unit.caller):
            return Response(None, NO_CONTENT, {"ETag": self.crud.version(row)})
        return self.row_response(row, prefer=request.headers.get(b"prefer"))

    def row_response(
        self, row: Row, *, status: int = 200, headers: dict[str, str] | None = None, prefer: str | None = None
    ) -> Response:
        """Return the response with one row and its version, as the header `Prefer` of a write asks for it."""
        if prefer is not None:
            sent = {"ETag": self.crud.version(row), **(headers or {})}
            return preferred_response(
                prefer, lambda: self._row.to_json(row, warnings=False), status=status, headers=sent
            )
        return Response(
            self._row.to_json(row, warnings=False), status, {"ETag": self.crud.version(row), **(headers or {})}, JSON
        )


def _content(request: OperationRequest, content: Callable[[], bytes], *, status: int = 200) -> Response:
    """Return the response to a batch, as its header `Prefer` asks for it."""
    prefer = request.headers.get(b"prefer")
    if prefer is not None:
        return preferred_response(prefer, content, status=status, headers={})
    return Response(content(), status, media_type=JSON)


def elements_of(bodies: Iterable[BaseModel]) -> list[Element]:
    """Return validated bodies as elements of an upsert."""
    return [Element(body.__dict__, frozenset(body.model_fields_set)) for body in bodies]


def _one_and_many(kind: Any) -> tuple[Any, SchemaValidator]:
    """Return the validator of one value of a type, and that of a batch. They share pydantic's schema of the type."""
    one = TypeAdapter(kind)
    return one.validator, SchemaValidator(core_schema.list_schema(one.core_schema, min_length=1, max_length=MAX_BATCH))
