r"""Convert between CSV cells and JSON values without loss.

A spreadsheet would run some texts as formulas (OWASP, "CSV Injection"), so such a text gets a leading `'`. A text of
quotes before such a character gets one more quote, so that an import can always remove it: `=1` → `'=1`, `'=1` →
`''=1`, and `'tis` stays.

A reader turns a cell that is not empty into JSON text. A cell that does not have the type's form becomes a JSON string,
which the schema then rejects. A writer turns a JSON value that is not null into a cell; types without one are written
as they are.
"""

import json
import re
from collections.abc import Callable
from enum import Enum
from math import isfinite
from typing import Any

from pydantic_core import from_json, to_json

from rowhouse.schemas.json_types import DECIMAL, INTEGER_TEXT, NUMBER_TEXT

CellReader = Callable[[str], str]
CellWriter = Callable[[Any], Any]
# The last four are the full-width = + - @, which some spreadsheets read as the plain ones.
RISKY = "[=+\\-@\\t\\r\\n\uff1d\uff0b\uff0d\uff20]"
FORMULA, GUARDED = re.compile(f"'*{RISKY}"), re.compile(f"'+{RISKY}")
# JSON's spelling, and that of spreadsheets.
BOOLEANS = {"true": "true", "false": "false", "TRUE": "true", "FALSE": "false"}
quoted = json.JSONEncoder(ensure_ascii=False).encode


def write_text(text: str) -> str:
    """Prefix a text that a spreadsheet would run as a formula."""
    return f"'{text}" if FORMULA.match(text) else text


def read_text(cell: str) -> str:
    """Undo `write_text`."""
    return quoted(cell[1:] if GUARDED.match(cell) else cell)


def write_boolean(value: object) -> str:
    """Write `true` or `false`, as JSON does."""
    return "true" if value else "false"


def read_boolean(cell: str) -> str:
    """Read JSON's and the spreadsheets' spelling."""
    return BOOLEANS.get(cell) or quoted(cell)


def write_number(value: object) -> object:
    """Write a number. `NaN` and infinite ones are null, as in JSON."""
    return None if isinstance(value, float) and not isfinite(value) else value


def write_document(value: object) -> str:
    """Write a JSON document as its text."""
    return to_json(value).decode()


def write_value(value: Any) -> object:
    """Write a JSON value whose column is not known: a computed one."""
    match value:
        case bool():
            return write_boolean(value)
        case float():
            return write_number(value)
        case str():
            return write_text(value)
        case dict() | list():
            return write_document(value)
    return value


def read_document(cell: str) -> str:
    """Read a complete JSON document; anything else must not become part of the row's JSON."""
    try:
        from_json(cell)
    except ValueError:
        return quoted(cell)
    return cell


def read_integer(cell: str) -> str:
    """Read digits; JSON forbids leading zeros, a cell may have them."""
    return str(int(cell)) if INTEGER_TEXT.match(cell) else quoted(cell)


def read_number(cell: str) -> str:
    """Read a JSON number, with or without leading zeros."""
    if not NUMBER_TEXT.match(cell):
        return quoted(cell)
    sign, digits = ("-", cell[1:]) if cell.startswith("-") else ("", cell)
    stripped = digits.lstrip("0")
    return f"{sign}{stripped}" if stripped[:1].isdigit() else f"{sign}0{stripped}"


def read_decimal(cell: str) -> str:
    """Read plain digits as a string, which keeps them exact, and a number with an exponent as a JSON number."""
    return quoted(cell) if DECIMAL.match(cell) else read_number(cell)


def enum_reader(kind: type[Enum]) -> CellReader:
    """Return a reader of the values of an enum."""
    values = {str(member.value): quoted(member.value) for member in kind}
    return lambda cell: values.get(cell) or quoted(cell)
