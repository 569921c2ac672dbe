"""Generated bodies are valid, and values stay within the limits of their schemas."""

import re
from collections.abc import Mapping
from typing import Any

import pytest

from perf.load.bodies import Bodies, UnsupportedSchemaError, matching_text, number
from tests.openapi_documents import document_of
from tests.perf.load_steps import START, check_bodies, creatable, reference
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
    "schema", [{"type": "string", "format": "binary"}, {"type": "null"}, {"type": "string", "pattern": "(?!)"}]
)
def test_an_unsupported_schema_is_an_error(schema: Mapping[str, Any]) -> None:
    with pytest.raises(UnsupportedSchemaError):
        Bodies({}, {}).generate(schema, refer=reference, start=START)


def test_an_amount_is_the_value_of_an_integer_member() -> None:
    """A member of another type keeps a generated value."""
    schema = {"type": "object", "properties": {"stock": {"type": "integer"}}}
    bodies = Bodies({}, {}, amounts={"stock": 1_000_000})
    assert bodies.generate(schema, refer=reference, start=START) == {"stock": 1_000_000}
    schema = {"type": "object", "properties": {"stock": {"type": "boolean"}}}
    assert isinstance(bodies.generate(schema, refer=reference, start=START)["stock"], bool)


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
def test_numbers_use_the_whole_range(schema: Mapping[str, Any], least: float, most: float) -> None:
    """They include both bounds and nothing beyond them."""
    numbers = [number(schema, position) for position in range(2000)]
    assert (min(numbers), max(numbers)) == (least, most)


def test_bounds_without_a_number_between_them_are_an_error() -> None:
    with pytest.raises(UnsupportedSchemaError):
        number({"type": "integer", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, 0)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[A-Z]{2}-\d+$",
        r"^(red|green)_[^\s_]{3,5}$",
        r"^\w+@[a-z]+\.(com|org)$",
        r"^[^\x00]*$",
        r"^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$",
        r"^x?[\dA-F]{4}.$",
        r"^[äöü]+$",
    ],
)
def test_a_text_matches_its_pattern(pattern: str) -> None:
    """It is also printable: a line break at the end would match `$` in Python only."""
    for _ in range(50):
        text = matching_text(pattern)
        assert text is not None
        assert re.search(pattern, text)
        assert text.isprintable()


def test_a_text_has_the_right_length() -> None:
    text = matching_text(r"^[a-z]+$", shortest=1, longest=3)
    assert text is not None
    assert 1 <= len(text) <= 3


def test_texts_differ() -> None:
    assert len({matching_text(r"^[A-Z]{2}-\d+$") for _ in range(200)}) == 200


@pytest.mark.parametrize("pattern", [r"(?!)", r"^(?=b)a$"])
def test_a_pattern_that_no_generated_text_matches_returns_none(pattern: str) -> None:
    assert matching_text(pattern) is None
