"""Values from schemas, rules from tables, and their limits."""

import re
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import pytest
import sqlalchemy as sa
from sqlalchemy import CheckConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field

from rowhouse import ANYONE, IntegerKey, Record, Registry
from rowhouse.testing.bodies.maker import Bodies, shifted
from rowhouse.testing.bodies.rules import rules_for
from rowhouse.testing.bodies.values import UnguessableError, Values
from rowhouse.testing.contract.verbs import wrong_values
from rowhouse.testing.factory import _in_json
from tests.sample_entities.metadata import new_metadata


class MeterRecord(Record, registry=registry(metadata=new_metadata())):
    """`Record` in a metadata of its own."""


class Meter(IntegerKey, MeterRecord, table=True):
    """Rules that a check constraint states, in each of its forms."""

    __table_args__ = (
        CheckConstraint("low <= high AND top > high", name="in_order"),
        CheckConstraint("share >= 0.5 AND share < 1 AND absent_column > 3", name="share"),
        CheckConstraint("length(label) < 9", name="label"),
    )

    low: int
    high: int
    top: int
    share: Decimal = Field(max_digits=4, decimal_places=2)
    label: str = Field(max_length=8)
    starts_at: datetime
    ends_at: datetime
    start_room: int
    end_room: str


def meter() -> Bodies:
    """What makes meters."""
    found = Registry()
    found.register(Meter, operations=("list",), write=ANYONE)
    return Bodies(found.registrations["meters"].resource)


def nobody(_table: sa.Table) -> dict[str, Any]:
    """There is nothing to refer to."""
    raise AssertionError


def test_checks_say_order_and_bounds() -> None:
    """`a < b` and `a <= b`, chained too; numbers; pairs by name only of one type."""
    rules = rules_for(meter().resource)
    assert set(rules.pairs) == {("low", "high"), ("high", "top"), ("starts_at", "ends_at")}
    assert rules.bounds == {"share": {"minimum": 0.5, "exclusiveMaximum": 1}}
    for _ in range(9):
        body = meter().body(nobody, {})
        assert body["low"] < body["high"] < body["top"]
        assert 0.5 <= body["share"] < 1
        assert body["starts_at"] < body["ends_at"]
    assert meter().body(nobody, {}, {"low": 9, "high": 3})["low"] == 9  # who says both is believed


@pytest.mark.parametrize(
    ("value", "later"),
    [
        (3, 4),
        ("2030-01-31", "2030-02-01"),
        ("09:00:00", "09:30:00"),
        ("23:45:00", "23:59:59"),
        ("2030-01-31T23:45:00+00:00", "2030-02-01T00:15:00+00:00"),
    ],
)
def test_a_value_has_a_next_one(value: Any, later: Any) -> None:
    """Within the day, where it is a time."""
    assert shifted(value, 1) == later


@pytest.mark.parametrize(
    ("schema", "wanted"),
    [
        ({"type": "string", "maxLength": 2}, ["AB", "AC"]),
        ({"type": "integer", "minimum": 1000}, [1001, 1002]),
        ({"type": "number", "exclusiveMaximum": 1, "minimum": 0, "multipleOf": 0.5}, [0.0, 0.5]),
        ({"type": "string", "format": "time"}, ["00:00:01", "00:00:02"]),
        ({"type": "string", "format": "date"}, ["2030-01-02", "2030-01-03"]),
        ({"type": "string", "format": "ipv9"}, ["äpfel 1", "Zebra 2"]),
        ({"type": "string", "format": "password"}, ["password-1", "password-2"]),
        ({"type": "string", "format": "uuid"}, [str(uuid5(NAMESPACE_OID, number)) for number in "12"]),
        ({"const": 7}, [7, 7]),
        ({"type": "string", "format": "duration"}, ["PT2M", "PT3M"]),
        ({"allOf": [{"$ref": "#/$defs/Small"}]}, [2, 3]),
        ({"type": "array", "items": {"$ref": "#/$defs/Small"}, "maxItems": 1}, [[2], [3]]),
        ({"type": "array", "items": {"type": "string", "maxLength": 1}}, [["B", "C"], ["C", "D"]]),
        ({"type": "object", "properties": {"n": {"$ref": "#/$defs/Small"}}}, [{"n": 3}, {"n": 5}]),
        (
            {"type": "object", "additionalProperties": {"type": "boolean"}},
            [{"first": False, "second": True}, {"first": True, "second": False}],
        ),
    ],
)
def test_unique_values_differ_as_far_as_they_can(schema: dict[str, Any], wanted: list[Any]) -> None:
    """Within their bounds."""
    values = Values({"Small": {"type": "integer", "minimum": 1, "maximum": 5}})
    assert [values.value(schema, number, is_unique=True) for number in (1, 2)] == wanted


@pytest.mark.parametrize(
    ("schema", "least", "most"),
    [
        ({"type": "number", "multipleOf": 0.01, "exclusiveMinimum": 0, "exclusiveMaximum": 0.04}, 0.01, 0.03),
        ({"type": "number", "multipleOf": 0.25, "minimum": -0.3, "maximum": 0.3}, 0.0, 0.25),
        ({"type": "number", "maximum": -3}, -3, -3),
        ({"type": "number", "minimum": 5000}, 5000, 6000),
        ({"type": "integer", "minimum": 1, "maximum": 5}, 1, 5),
        ({"type": "integer", "maximum": -3}, -3, -3),
    ],
)
def test_unique_numbers_use_the_range(schema: dict[str, Any], least: float, most: float) -> None:
    """They are positive if possible, and multiples within the bounds."""
    numbers = [Values({}).value(schema, number, is_unique=True) for number in range(4010)]
    assert (min(numbers), max(numbers)) == (least, most)


@pytest.mark.parametrize("kind", ["integer", "number"])
def test_bounds_without_a_number_between_them_are_an_error(kind: str) -> None:
    schema = {"type": kind, "exclusiveMinimum": 1, "exclusiveMaximum": 1.2}
    with pytest.raises(UnguessableError, match="within the bounds"):
        Values({}).value(schema, 1, is_unique=True)


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(red|green)_[^\s_]{3,5}$",
        r"^\w+@[a-z]+\.(com|org)$",
        r"^[^\x00]*$",
        r"^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$",
        r"^[äöü]+$",
    ],
)
def test_a_text_matches_its_pattern(pattern: str) -> None:
    """It is also printable: a line break at the end would match `$` in Python only."""
    for number in range(20):
        found = Values({}).value({"type": "string", "pattern": pattern}, number)
        assert re.search(pattern, found)
        assert found.isprintable()


def test_a_pattern_is_matched_within_its_length() -> None:
    """Or said to be too much."""
    values = Values({})
    pattern = {"type": "string", "pattern": "^[A-Z]{2}[0-9]+$", "minLength": 4, "maxLength": 6}
    assert values.value(pattern, 1) == values.value(pattern, 1) != values.value(pattern, 2)
    with pytest.raises(UnguessableError, match="no text of 0 to 1 letters"):
        values.value({"type": "string", "pattern": "^[A-Z]{2}$", "maxLength": 1}, 1)


def test_bytes_and_documents_of_any_value() -> None:
    """Bytes are base64, whatever pattern the schema states, and nothing is wrong in a document of any value."""
    schema = {"type": "string", "contentEncoding": "base64", "pattern": "^x$"}
    assert (Values({}).kind(schema), Values({}).value(schema, 7)) == ("base64", "Ynl0ZXMgNw==")
    entity: Any = SimpleNamespace(bodies=SimpleNamespace(values=Values({})))
    assert [*wrong_values(entity, {})] == []
    assert [*wrong_values(entity, {"type": "object"})] != []
    assert (_in_json(b"\xff"), _in_json(Decimal(1))) == ("/w==", "1")
