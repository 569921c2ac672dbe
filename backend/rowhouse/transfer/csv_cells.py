r"""A CSV cell and the JSON value that it stands for, by the kind of column; nothing is lost on the way out and back.

A text that a spreadsheet would run as a formula (OWASP, "CSV Injection") gets a leading `'`. So that it can be taken away again
without a doubt, a text of quotes before such a character gets one more too: `=1` → `'=1`, `'=1` → `''=1`; `'tis` stays. An empty
cell is null, or the empty text where a text column takes no null.
"""

import json
import re
from collections.abc import Callable
from enum import Enum
from typing import Any

import sqlalchemy as sa
from pydantic_core import from_json, to_json

from rowhouse.query.filters import INTEGER_TEXT, NUMBER_TEXT
from rowhouse.schemas.columns import Column
from rowhouse.schemas.field_types import DECIMAL, ExactDecimal

# The last four are the full-width = + - @, which some spreadsheets take for the plain ones.
RISKY = "[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]"
FORMULA, GUARDED = re.compile(f"'*{RISKY}"), re.compile(f"'+{RISKY}")
# As JSON has them, and as spreadsheets write them back.
TRUTH = {"true": "true", "false": "false", "TRUE": "true", "FALSE": "false"}
quoted = json.JSONEncoder(ensure_ascii=False).encode
ToCell = Callable[[Any], Any]
FromCell = Callable[[str], str]


def is_text(column: Column) -> bool:
    """Whether a column holds text of the clients'; the values of an enum are the developer's."""
    is_enum = isinstance(column.base, type) and issubclass(column.base, Enum)
    return isinstance(column.column.type, sa.String) and not is_enum


def cell_writer(column: Column) -> ToCell | None:
    """What makes the cell of a JSON value that is not null; None where the value will do as it is."""
    if column.is_json:
        return lambda value: to_json(value).decode()
    if column.base is bool:
        return lambda value: "true" if value else "false"
    return _guard if is_text(column) else None


def _guard(text: str) -> str:
    return f"'{text}" if FORMULA.match(text) else text


def cell_reader(column: Column) -> FromCell:
    """What makes the JSON of a cell that is not empty; of one that cannot be a value, a string for the schema to refuse."""
    if column.is_json:
        return _document
    if is_text(column):
        return lambda cell: quoted(cell[1:] if GUARDED.match(cell) else cell)
    if isinstance(column.base, type) and issubclass(column.base, Enum):
        values = {str(member.value): quoted(member.value) for member in column.base}
        return lambda cell: values.get(cell) or quoted(cell)
    return READERS.get(column.base, quoted)


def empty_cell(column: Column) -> str | None:
    """The JSON of an empty cell; None where the member is left out, so that its default applies."""
    if column.nullable:
        return "null"
    return '""' if is_text(column) else None


def _document(cell: str) -> str:
    """A JSON document as it stands, but only a whole one, for it becomes a part of the row's."""
    try:
        from_json(cell)
    except ValueError:
        return quoted(cell)
    return cell


def _whole(cell: str) -> str:
    return str(int(cell)) if INTEGER_TEXT.match(cell) else quoted(cell)


def _number(cell: str) -> str:
    """A JSON number; zeros before it, which JSON does not have, are no harm in a cell."""
    if not NUMBER_TEXT.match(cell):
        return quoted(cell)
    sign, digits = ("-", cell[1:]) if cell.startswith("-") else ("", cell)
    stripped = digits.lstrip("0")
    return f"{sign}{stripped}" if stripped[:1].isdigit() else f"{sign}0{stripped}"


def _decimal(cell: str) -> str:
    """Plain digits as a string, which stay exact; a number with an exponent as JSON has it."""
    return quoted(cell) if DECIMAL.match(cell) else _number(cell)


READERS: dict[Any, FromCell] = {
    bool: lambda cell: TRUTH.get(cell) or quoted(cell),
    int: _whole,
    float: _number,
    ExactDecimal: _decimal,
}
