"""JSON documents that PostgreSQL cannot store are rejected on both databases."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from rowhouse.schemas.json_types import Instant, check_json


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("a\x00b", "NUL character"),
        ({"list": [{"key": "\x00"}]}, "NUL character"),
        ({"\x00": 1}, "NUL character"),
        ([float("nan")], "NaN and Infinity"),
        (float("inf"), "NaN and Infinity"),
        ({"big": 2**63}, "64 bits"),
    ],
)
def test_what_cannot_be_stored_is_named(document: Any, message: str) -> None:
    """At any depth of the document."""
    with pytest.raises(ValueError, match=message):
        check_json(document)


@pytest.mark.parametrize("document", [None, True, 2**63 - 1, 1.5, "text", [], {"a": [{"b": None}]}])
def test_every_other_document_passes(document: Any) -> None:
    """Unchanged."""
    assert check_json(document) == document


@pytest.mark.parametrize(
    ("text", "is_valid"),
    [
        ("0001-01-01T23:59:59.999999Z", False),
        ("0001-01-02T00:00:00Z", True),
        ("0001-01-02T00:00:00+23:59", False),
        ("0001-01-01T00:00:00+00:01", False),
        ("9999-12-30T00:00:00Z", True),
        ("9999-12-31T23:59:59-14:00", False),
        ("9999-12-30T00:00:00.000001Z", False),
    ],
)
def test_an_instant_stays_in_the_calendar_in_every_time_zone(text: str, *, is_valid: bool) -> None:
    """The limits themselves are valid, as the message says, so what a response shows can be sent again."""
    instant: TypeAdapter[datetime] = TypeAdapter(Instant)
    if is_valid:
        assert instant.validate_python(text).utcoffset() == timedelta(0)
    else:
        with pytest.raises(ValidationError, match="must lie between 0001-01-02T00:00:00Z and 9999-12-30T00:00:00Z"):
            instant.validate_python(text)
