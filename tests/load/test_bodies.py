"""Generated bodies are valid, and values stay within the limits of their schemas."""

from collections.abc import Mapping
from typing import Any

import pytest

from rowhouse.load.bodies import Bodies, UnsupportedSchemaError
from rowhouse.load.hints import Hints
from rowhouse.schemas.links import LINKS
from tests.load.load_steps import START, check_bodies, creatable, reference
from tests.openapi_documents import document_of
from tests.sample_entities.application import create_odd_app
from tests.sample_entities.odd.registry import registry


@pytest.mark.parametrize("path", creatable(registry))
def test_generated_bodies_are_valid(path: str) -> None:
    check_bodies(document_of(create_odd_app), registry, path)


def test_a_required_reference_without_a_row_is_an_error() -> None:
    """The message names the member."""
    schema = {"type": "object", "properties": {"shelf_id": {"type": "integer"}}, "required": ["shelf_id"]}
    with pytest.raises(UnsupportedSchemaError, match="shelf_id"):
        Bodies({}, {"shelf_id": "/shelves"}).generate(schema, refer=lambda _path: None, start=START)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "format": "binary"},
        {"type": "null"},
        {"type": "string", "pattern": "(?!)"},
        {"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2},
    ],
)
def test_an_unsupported_schema_is_an_error(schema: Mapping[str, Any]) -> None:
    with pytest.raises(UnsupportedSchemaError):
        Bodies({}, {}).generate(schema, refer=reference, start=START)


def test_an_optional_reference_to_nothing_known_is_left_out() -> None:
    schema = {"type": "object", "properties": {"shelf_id": {"type": "integer"}, "label": {"type": "string"}}}
    assert set(Bodies({}, {}).generate(schema, refer=reference, start=START)) == {"label"}


def test_links_to_other_rows_are_left_out() -> None:
    """A member such as `tag_ids` replaces the links of a row; no user knows rows that it may link to."""
    tags = {"type": "array", "items": {"type": "integer"}, "minItems": 1, LINKS: "tags"}
    schema = {"type": "object", "properties": {"tag_ids": tags, "label": {"type": "string"}}}
    assert set(Bodies({}, {}).generate(schema, refer=reference, start=START)) == {"label"}


def test_an_amount_is_the_value_of_an_integer_member() -> None:
    """A member of another type keeps a generated value."""
    schema = {"type": "object", "properties": {"stock": {"type": "integer"}}}
    bodies = Bodies({}, {}, amounts={"stock": 1_000_000})
    assert bodies.generate(schema, refer=reference, start=START) == {"stock": 1_000_000}
    schema = {"type": "object", "properties": {"stock": {"type": "boolean", "default": True}}}
    assert isinstance(bodies.generate(schema, refer=reference, start=START)["stock"], bool)


def test_hints_say_what_a_document_cannot() -> None:
    """Order, bounds, unique values, the collection of a reference, and what the project says."""
    names = ("low", "high", "share", "serial", "chief", "from_day", "to_day", "at", "code", "id")
    kinds: dict[str, Mapping[str, Any]] = {name: {"type": "integer"} for name in names}
    kinds |= {"from_day": {"type": "string", "format": "date"}, "to_day": {"type": "string", "format": "date"}}
    kinds |= {"at": {"type": "string", "format": "time"}, "code": {"type": "string"}}
    document = {"components": {"schemas": {"StayCreate": {"type": "object", "properties": kinds}}}}
    hints = Hints(
        name="Stay",
        unique=frozenset({"serial", "from_day"}),
        pairs=(("low", "high"), ("from_day", "to_day")),
        bounds={"share": {"minimum": 7, "maximum": 8}},
        targets={"chief": "/people"},
        parts={"chief": 1},
    )
    said = {"Stay": {"code": lambda number: f"no {number}", "at": "08:00:00"}}
    bodies = Bodies(document, {}, hints={"StayCreate": hints}, said=said)
    schema = {"$ref": "#/components/schemas/StayCreate"}
    made = [bodies.generate(schema, refer=lambda path: ("a", f"key of {path}"), start=START) for _ in range(50)]
    assert all(body["low"] < body["high"] and body["from_day"] < body["to_day"] for body in made)
    assert {body["share"] for body in made} == {7, 8}
    for name in ("serial", "from_day", "code"):
        assert len({body[name] for body in made}) == 50
    assert {(body["chief"], body["at"]) for body in made} == {("key of /people", "08:00:00")}
    assert all(isinstance(body["id"], int) for body in made)


def test_two_users_have_other_texts() -> None:
    """Each begins with a number of its own."""
    one, other = (Bodies({}, {}).generate({"type": "string"}, refer=reference, start=START) for _ in range(2))
    assert one != other


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "boolean"}, bool),
        ({"type": "object"}, dict),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 2}, list),
        ({"type": "array", "items": {}}, list),
        ({"type": "string", "format": "uri"}, str),
        ({"type": "string", "format": "duration"}, str),
        ({"enum": ["a", "b"]}, str),
    ],
)
def test_every_kind_has_values(schema: Mapping[str, Any], kind: type) -> None:
    assert isinstance(Bodies({}, {}).generate(schema, refer=reference, start=START), kind)
