"""Every body that is made up is one that the application takes."""

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from perf.load.bodies import SLOT_LENGTH, Bodies, UnmakeableError, number
from perf.load.operations import Api
from tests.openapi_documents import document_of
from tests.perf.conftest import REGISTRIES

START = datetime(2030, 1, 31, 12, tzinfo=UTC)
HOUSES = [
    (side, path)
    for side, registry in REGISTRIES.items()
    for path, registration in registry.registrations.items()
    if "create" in registration.operations
]


def refer(collection: str) -> object:
    """A key as the collection has it."""
    return str(uuid.uuid4()) if collection.endswith("/leaves") else 1


@pytest.mark.parametrize(("side", "path"), HOUSES)
def test_bodies_hold_what_the_model_demands(side: str, path: str) -> None:
    """Create and Update take sixty bodies each, and every member that was sent."""
    document = document_of(side)
    api = Api(document)
    bodies = Bodies(document, api.targets)
    schemas = REGISTRIES[side].registrations[path].resource.schemas
    for method, place, model in (("POST", path, schemas.create), ("PATCH", f"{path}/{{id}}", schemas.update)):
        operation = api.by_label[f"{method} /{place}"]
        assert operation.body is not None
        for _ in range(60):
            made = bodies.make(operation.body, refer=refer, start=START)
            sent = model.model_validate_json(json.dumps(made))
            assert sent.model_fields_set == set(made)


def test_a_body_has_a_slot_and_rows_to_refer_to() -> None:
    """A booking is as long as a slot, for rows that were asked for by their collection."""
    document = document_of("product")
    api = Api(document)
    schema, keys = api.by_label["POST /bookings"].body or {}, {"/api/v1/charge-points": 7, "/api/v1/vehicles": 8}
    made = Bodies(document, api.targets).make(schema, refer=keys.__getitem__, start=START)
    assert (made["charge_point_id"], made["vehicle_id"]) == (7, 8)
    assert datetime.fromisoformat(made["end_time"]) - datetime.fromisoformat(made["start_time"]) == SLOT_LENGTH
    assert timedelta(minutes=5) <= SLOT_LENGTH <= timedelta(hours=24)


def test_texts_are_never_the_same() -> None:
    """A unique column takes them all; what has a default that is a choice keeps it."""
    document = document_of("product")
    api = Api(document)
    bodies = Bodies(document, api.targets)
    schema = api.by_label["POST /charge-points"].body or {}
    made = [bodies.make(schema, refer=refer, start=START) for _ in range(500)]
    assert len({body["code"] for body in made}) == 500
    assert {body["status"] for body in made} == {"available"}


def test_a_required_reference_to_nothing_is_an_error() -> None:
    """It names the member."""
    document = document_of("product")
    api = Api(document)
    schema = api.by_label["POST /books"].body or {}
    with pytest.raises(UnmakeableError, match="category_id"):
        Bodies(document, api.targets).make(schema, refer=lambda _path: None, start=START)


@pytest.mark.parametrize(
    "schema", [{"type": "string", "format": "binary"}, {"type": "null"}, {"type": "string", "pattern": "(?!)"}]
)
def test_a_schema_that_is_not_understood_is_an_error(schema: Mapping[str, Any]) -> None:
    """Nothing is made up for it."""
    with pytest.raises(UnmakeableError):
        Bodies({}, {}).make(schema, refer=refer, start=START)


@pytest.mark.parametrize(
    ("schema", "least", "most"),
    [
        ({"type": "integer", "minimum": 1, "maximum": 5}, 1, 5),
        ({"type": "integer", "exclusiveMinimum": 5000}, 5001, 6001),
        ({"type": "integer", "maximum": -3}, -1003, -3),
        ({"type": "number", "multipleOf": 0.01, "exclusiveMinimum": 0, "exclusiveMaximum": 0.04}, 0.01, 0.03),
        ({"type": "number", "multipleOf": 0.25, "minimum": -0.3, "maximum": 0.3}, -0.25, 0.25),
    ],
)
def test_numbers_walk_the_whole_of_their_bounds(schema: Mapping[str, Any], least: float, most: float) -> None:
    """From the first to the last, and never past them."""
    made = [number(schema, position) for position in range(2000)]
    assert (min(made), max(made)) == (least, most)


def test_bounds_without_a_number_are_an_error() -> None:
    """No number is made up."""
    with pytest.raises(UnmakeableError):
        number({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, 0)
