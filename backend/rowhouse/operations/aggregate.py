"""The operation `GET /books/aggregate`: counts, sums, averages and extremes of the rows that a list selects."""

from collections.abc import Mapping
from decimal import Decimal
from functools import cached_property
from typing import Any

from pydantic import TypeAdapter
from pydantic_core import to_json
from starlette.responses import Response

from rowhouse.core.openapi import shared_problem_responses
from rowhouse.crud.base import CRUDBase
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.operations.endpoints import Endpoints
from rowhouse.operations.page_request import JSON
from rowhouse.operations.request import OperationRequest
from rowhouse.operations.response_schemas import (
    Definitions,
    ResponseSchema,
    Schema,
    array_of,
    bare,
    name_of,
    nullable,
    object_of,
    reference,
)
from rowhouse.operations.route import Deferred, GeneratedRoute, generated_route, plural_name
from rowhouse.query.aggregate_parameters import COUNT, MAX_GROUPS, AggregateParameters, AggregateQuery, Group
from rowhouse.query.resource import Resource
from rowhouse.sql.aggregates import AggregateRow, Aggregates

NUMBER, TEXT = {"type": "number"}, {"type": "string"}
TITLES = {"sum": "Numbers", "avg": "Numbers", "min": "Extremes", "max": "Extremes"}


class AggregateEndpoint:
    """The aggregates of one resource."""

    def __init__(self, resource: Resource, crud: CRUDBase[Any]) -> None:
        self.resource = resource
        self.crud = crud
        self.aggregates = Aggregates(resource, crud.dialect)

    @cached_property
    def parameters(self) -> AggregateParameters:
        """The query parameters."""
        return AggregateParameters(self.resource)

    @cached_property
    def _writers(self) -> dict[str, Any]:
        """The serializer of a value of each column, as in a row."""
        columns = self.resource.columns
        return {n: TypeAdapter(columns[n].answer_annotation).serializer for n in self.resource.schemas.public_names}

    def aggregate_rows(self, request: OperationRequest, unit: UnitOfWork) -> Response:
        """Return one item for each group of the rows that the caller may read and the filters select."""
        request.authorize(unit, self.resource.read)
        query = self.parameters.parse(request.query)
        scope = self.crud.selected(unit, query.rows)
        shape = self.crud.lists.choose_shape(unit, query.rows, scope)
        rows = self.aggregates.read(unit, query, shape=shape, scope=scope)
        items = b",".join(self._item(query, row) for row in rows)
        return Response(b'{"items":[' + items + b"]}", media_type=JSON)

    def _item(self, query: AggregateQuery, row: AggregateRow) -> bytes:
        """Return an item as JSON. Sums have every digit, which a double could not hold."""
        members = {
            group.name: to_json(row.groups[group.name])
            if group.unit
            else self._writers[group.column.name].to_json(row.groups[group.name], warnings=False)
            for group in query.groups
        }
        if query.count:
            members[COUNT] = to_json(row.count)
        for function, names in query.columns.items():
            members[function] = _object(
                {name: self._value(function, name, row.values[f"{function}__{name}"]) for name in names}
            )
        return _object(members)

    def _value(self, function: str, name: str, value: Any) -> bytes:
        if isinstance(value, Decimal) and function in ("sum", "avg"):
            whole, _, decimals = format(value, "f").partition(".")
            return f"{whole}.{decimals.rstrip('0') or '0'}".encode()
        if value is None or function in ("sum", "avg"):
            return str(value).encode() if isinstance(value, int) else to_json(value)
        written: bytes = self._writers[name].to_json(value, warnings=False)
        return written

    def schema(self) -> ResponseSchema:
        """Return the schema of the response."""
        public, name = self.resource.schemas.public, self.resource.name

        def further(found: Definitions) -> Definitions:
            kinds = {member: bare(schema) for member, schema in found[name_of(public)]["properties"].items()}
            made: dict[str, Schema] = {}
            members = {group.name: _kind(group, kinds) for group in self.parameters.groups.values()}
            members[COUNT] = {"type": "integer", "description": "The number of rows."}
            for function, choices in self.parameters.choices.items():
                title = TITLES[function]
                values = {n: nullable(NUMBER if title == "Numbers" else kinds[n]) for n in choices}
                made[f"{name}{title}"] = object_of(f"{name}{title}", values)
                members[function] = reference(f"{name}{title}")
            made[f"{name}Aggregate"] = object_of(f"{name}Aggregate", members)
            items = array_of(reference(f"{name}Aggregate"), maxItems=MAX_GROUPS)
            return {**made, f"{name}Aggregates": object_of(f"{name}Aggregates", {"items": items}, required=["items"])}

        return ResponseSchema(reference(f"{name}Aggregates"), [public], further)


def _kind(group: Group, kinds: Mapping[str, Schema]) -> Schema:
    """Return the JSON schema of a group's value."""
    if group.unit is None:
        return kinds[group.column.name]
    return nullable(TEXT) if group.column.nullable else TEXT


def _object(members: dict[str, bytes]) -> bytes:
    """Return a JSON object with members that are JSON already."""
    return b"{" + b",".join(b'"' + name.encode() + b'":' + value for name, value in members.items()) + b"}"


def aggregate_route(resource: Resource, endpoints: Endpoints) -> GeneratedRoute:
    """Return the route `GET /books/aggregate`."""
    name = plural_name(resource)
    endpoint = AggregateEndpoint(resource, endpoints.crud)
    return generated_route(
        resource, "/aggregate", policy=resource.read, work=endpoint.aggregate_rows, writes=False, methods=["GET"],
        operation_id=f"aggregate_{name}", summary=f"Aggregate {name.replace('_', ' ')}",
        response_model=Deferred(endpoint.schema),
        description=f"Counts, sums, averages and extremes of the rows that match every filter, for each of at most "
        f"{MAX_GROUPS:,} groups.",
        openapi_extra=Deferred(lambda: {"parameters": endpoint.parameters.openapi()}),
        responses=shared_problem_responses(401, 403, 422, 503),
    )  # fmt: skip
