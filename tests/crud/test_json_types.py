"""JSON documents that PostgreSQL cannot store are rejected on both databases."""

from typing import Any

import pytest

from rowhouse.schemas.json_types import check_json


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
