"""CSV cells: every value of a column survives an export and an import, and no text becomes a formula."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rowhouse.schemas.columns import Column, columns_of
from rowhouse.schemas.csv_cells import RISKY
from tests.sample_entities.odd.columns import Everything, Maybe

RISKY_CHARACTERS = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"
EVERYTHING, MAYBE = columns_of(Everything), columns_of(Maybe)
SAME = settings(derandomize=True, database=None, deadline=None, max_examples=200)


def read(column: Column, cell: str) -> Any:
    """Return the JSON value of a cell."""
    return json.loads(column.type.read_cell(cell))


@SAME
@given(text=st.text(st.sampled_from(f"{RISKY_CHARACTERS}'\"aä,; 1"), min_size=1))
@example(text="'")
def test_text_is_safe_and_comes_back(text: str) -> None:
    """Whatever it begins with, also quotes."""
    write = EVERYTHING["text"].type.write_cell
    assert write is not None
    cell = write(text)
    assert cell[0] not in RISKY_CHARACTERS
    assert cell in (text, f"'{text}")
    assert read(EVERYTHING["text"], cell) == text


def test_every_risky_character_is_known() -> None:
    """Both lists are equal."""
    assert json.loads(f'"{RISKY[1:-1].replace(chr(92) + "-", "-")}"') == RISKY_CHARACTERS


@SAME
@given(cell=st.text(min_size=1))
@example(cell="007")
@example(cell="1e999")
@example(cell="-0.50")
@example(cell='1,"x":2')
@example(cell="NaN")
@example(cell="[" * 1000)
def test_no_cell_breaks_out_of_its_member(cell: str) -> None:
    """In every column a cell becomes one JSON value, or a string that the schema rejects."""
    for column in (*EVERYTHING.values(), *MAYBE.values()):
        written = column.type.read_cell(cell)
        try:
            json.loads(f'{{"member":{written}}}')
        except RecursionError:  # Python's own parser; the engine's says so
            assert not column.is_comparable


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("whole", "-007", -7), ("whole", "1.0", "1.0"), ("whole", "1_0", "1_0"), ("whole", " 1", " 1"), ("whole", "\u0661", "\u0661"),
        ("ratio", "1e3", 1000.0), ("ratio", "-00.5", -0.5), ("ratio", "00", 0), ("ratio", "1E+2", 100.0), ("ratio", ".5", ".5"), ("ratio", "nan", "nan"),
        ("amount", "12.50", "12.50"), ("amount", "1e-2", 0.01), ("amount", "1,5", "1,5"),
        ("flag", "TRUE", True), ("flag", "false", False), ("flag", "yes", "yes"), ("flag", "1", "1"),
        ("colour", "red", "red"), ("colour", "pink", "pink"), ("level", "10", 10), ("level", "LOW", "LOW"),
        ("document", '{"a":[1,null]}', {"a": [1, None]}), ("document", "{", "{"), ("document", "1} ", "1} "), ("tags", '["=1"]', ["=1"]),
        ("day", "2030-01-31", "2030-01-31"), ("span", "-PT5M", "-PT5M"), ("text", "true", "true"), ("text", "12", "12"), ("text", "null", "null"),
    ],
)  # fmt: skip
def test_a_cell_is_read_by_the_kind_of_its_column(name: str, cell: str, value: Any) -> None:
    """A cell of another form stays text, and the schema says what is wrong."""
    found = read(EVERYTHING[name], cell)
    assert (found, type(found)) == (value, type(value))


def test_an_empty_cell_is_null_in_a_nullable_column() -> None:
    """Otherwise it is the empty text in a text column, and in any other column the member is missing."""
    assert {column.empty_cell for name, column in MAYBE.items() if column.nullable} == {"null"}
    texts = {name for name, column in EVERYTHING.items() if column.empty_cell == '""'}
    assert texts == {"text", "short_text", "patterned", "indexed_text", "address"}
    assert {column.empty_cell for name, column in EVERYTHING.items() if name not in texts} == {None}
