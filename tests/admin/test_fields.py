"""The texts of values, without an application."""

import json
from datetime import UTC
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rowhouse.admin.fields import Field, Kind, TextError, instant_of, label_of, local_text, plain, table_of
from rowhouse.admin.site import Site
from rowhouse.admin.visit import key_of, segment_of
from rowhouse.core.settings import Settings
from tests.conftest import QUIET
from tests.sample_entities.owned.main import create_app

VIENNA = ZoneInfo("Europe/Vienna")


def field(kind: Kind, **options: Any) -> Field:
    """A field of a kind."""
    return Field("name", "Name", kind, **options)


@pytest.mark.parametrize(
    ("kind", "text", "token"),
    [
        (Kind.INTEGER, " 7 ", "7"), (Kind.INTEGER, "07", '"07"'), (Kind.INTEGER, "7.0", '"7.0"'),
        (Kind.NUMBER, "-1.5e3", "-1.5e3"), (Kind.NUMBER, "NaN", '"NaN"'), (Kind.DECIMAL, "9.90", '"9.90"'),
        (Kind.BOOLEAN, "true", "true"), (Kind.BOOLEAN, "yes", '"yes"'), (Kind.CHOICE, "1", "1"),
        (Kind.CHOICE, "3", '"3"'), (Kind.TEXT, " a ", '" a "'), (Kind.FORMATTED, " a ", '"a"'),
        (Kind.DATE, "2030-01-01", '"2030-01-01"'), (Kind.DOCUMENT, '{"a": 1.50}', '{"a": 1.50}'),
        (Kind.INSTANT, "2030-01-01T12:00", '"2030-01-01T11:00:00Z"'), (Kind.INSTANT, "soon", '"soon"'),
    ],
)  # fmt: skip
def test_a_text_becomes_json(kind: Kind, text: str, token: str) -> None:
    """One that is no value is sent as a text, for the API to refuse."""
    assert field(kind, choices=("1", '"a"')).token(text, VIENNA) == token


def test_a_document_must_be_json() -> None:
    """Or nothing is sent."""
    for text in ("{", "[" * 100_000):
        with pytest.raises(TextError):
            field(Kind.DOCUMENT).token(text, UTC)


@pytest.mark.parametrize(
    ("kind", "value", "text", "shown"),
    [
        (Kind.TEXT, None, "", "-"), (Kind.BOOLEAN, True, "true", "yes"), (Kind.BOOLEAN, False, "false", "no"),
        (Kind.CHOICE, "a", '"a"', "a"), (Kind.CHOICE, -2, "-2", "-2"), (Kind.CHOICE, Decimal("0.5"), "0.5", "0.5"), (Kind.DECIMAL, Decimal("1E+3"), "1000", "1000"),
        (Kind.INSTANT, "2030-07-01T10:00:00.5Z", "2030-07-01T12:00:00.500000", "2030-07-01 12:00:00.500000"),
        (Kind.DOCUMENT, [Decimal("0.5"), {"ü": 1}], '[\n  0.5,\n  {\n    "ü": 1\n  }\n]', '[\n  0.5,\n  {\n    "ü": 1\n  }\n]'),
    ],
)  # fmt: skip
def test_a_value_becomes_text(kind: Kind, value: Any, text: str, shown: str) -> None:
    """In a form and for reading."""
    assert field(kind).text(value, VIENNA) == text
    assert field(kind).shown(value, VIENNA) == shown


def test_lists_are_short() -> None:
    """Long texts are cut, and instants have no fractions of seconds."""
    assert field(Kind.TEXT).shortened("x" * 500, UTC) == "x" * 79 + "…"
    assert field(Kind.INSTANT).shortened("2030-01-01T00:00:00.123456Z", UTC) == "2030-01-01 00:00:00"


def test_the_ends_of_the_calendar_have_no_other_zone() -> None:
    """They stay as they are."""
    assert local_text("0001-01-01T00:00:00Z", ZoneInfo("America/New_York")) == "0001-01-01T00:00:00Z"
    assert instant_of("0001-01-01T00:00", VIENNA) == "0001-01-01T00:00"
    assert instant_of("2030-01-01T00:00+02:00", VIENNA) == "2030-01-01T00:00+02:00"


def test_a_list_of_objects_is_a_table() -> None:
    """With the members of the first; any other document stays JSON."""
    lines = [{"book_id": 1, "price": Decimal("9.90"), "note": None}, {"book_id": 2, "price": True, "note": "x"}]
    found = table_of(lines)
    assert found is not None
    assert found.labels == ["Book id", "Price", "Note"]
    assert found.lines == [["1", "9.90", "-"], ["2", "yes", "x"]]
    others: tuple[Any, ...] = (None, {"a": 1}, [], [1], [{}], [{"a": 1}, {"b": 1}], [{"a": [1]}], [{"a": {}}])
    for document in others:
        assert table_of(document) is None


def test_a_form_never_replaces_owned_rows() -> None:
    """A new row may have some. The page of a stored one has a form for each of them."""
    app = create_app(Settings(**QUIET))
    invoices = Site(app, app.state.settings, prefix="/api/v1").entities["invoices"]
    assert "lines" in invoices.create_fields
    assert list(invoices.update_fields) == ["number"]


def test_names() -> None:
    """Labels are for people; a key that is a word of the pages has an address of its own."""
    assert label_of("price_per_kwh") == "Price per kwh"
    for key in ("new", "~new", "7", "import"):
        assert key_of(segment_of(key)) == key
        assert segment_of(key) not in ("new", "import")
    assert json.dumps(plain({"a": [Decimal("1.5")]})) == '{"a": [1.5]}'
