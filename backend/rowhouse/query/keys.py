"""The primary key of an entity, of one column or several: its values, and how a client writes them.

A key of one column is written as it is: `/countries/FR`. The columns of a longer one are separated by commas:
`/enrolments/7,42`. Where several keys stand in one parameter, commas separate keys of one column and semicolons longer
ones: `ids=7,8`, `ids=7,42;8,42`. A part that holds a separator or a quote stands in double quotes, as in CSV.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from operator import itemgetter
from typing import Annotated, Any
from uuid import UUID

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError, to_jsonable_python

from rowhouse.entities.model import EnumText
from rowhouse.schemas.columns import Column

PART_SEPARATOR, KEY_SEPARATOR = ",", ";"
NEEDS_QUOTES = re.compile(r'[,;"]|^$')
# Up to the separator, which may stand within double quotes.
PIECES = {mark: re.compile(rf'((?:"(?:[^"]|"")*"|[^{mark}])*){mark}') for mark in (PART_SEPARATOR, KEY_SEPARATOR)}
MAX_STORED_TEXT = 600


def key_columns(columns: Iterable[Column]) -> list[Column]:
    """Return the columns of the primary key, in its order."""
    found = [column for column in columns if column.column.primary_key]
    order = list(found[0].column.table.primary_key.columns) if len(found) > 1 else []
    return sorted(found, key=lambda column: order.index(column.column)) if order else found


class Key:
    """The primary key of an entity.

    Its value is that of its column, or a tuple of the values of its columns. `of` returns the key of a row.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = tuple(columns)
        self.names = tuple(column.name for column in columns)
        # As a message shows it: `isbn`, `student_id,course_id`.
        self.label = PART_SEPARATOR.join(self.names)
        self.is_composite = len(self.names) > 1
        self.of: Callable[[Mapping[str, Any]], Any] = itemgetter(*self.names)
        # Returns the sort key of a key; None if keys sort by themselves. The database sorts enums by their texts.
        has_enum = any(isinstance(column.column.type, EnumText) for column in columns)
        self.order: Callable[[Any], Any] | None = self._texts_of_enums if has_enum else None
        # Returns a key as clients write it in a path, not encoded yet.
        self.text: Callable[[Any], str] = self._text_of_parts if self.is_composite else written

    @property
    def annotation(self) -> Any:
        """The type of a key in a path: it reads the text that clients write."""
        if not self.is_composite:
            return self.columns[0].filter_annotation
        parts = tuple(column.filter_annotation for column in self.columns)
        values: Any = tuple[parts]  # type: ignore[valid-type]  # the types are known at run time
        return Annotated[values, BeforeValidator(self._split)]

    def parts(self, key: Any) -> tuple[Any, ...]:
        """Return the values of a key, one for each column."""
        return tuple(key) if self.is_composite else (key,)

    def values(self, key: Any) -> dict[str, Any]:
        """Return the values of a key by the names of its columns."""
        return dict(zip(self.names, self.parts(key), strict=True))

    def stored_text(self, key: Any) -> str:
        """Return the text that identifies a row in the archive and the history: its key, or a digest of a long one."""
        text = self.text(key)
        if len(text) <= MAX_STORED_TEXT:
            return text
        digest = hashlib.sha256(text.encode()).hexdigest()
        return f"{text[: MAX_STORED_TEXT - len(digest) - 1]}~{digest}"

    def texts(self, given: str) -> list[str]:
        """Return the text of each key in a parameter such as `ids`. An empty one names none: the empty key is `""`."""
        if not given:
            return []
        if self.is_composite:
            return split(given, KEY_SEPARATOR)
        return [unquoted(one) for one in split(given, PART_SEPARATOR)]

    def list_text(self, keys: Sequence[Any]) -> str:
        """Return keys as one parameter such as `ids`. `texts` undoes it."""
        if self.is_composite:
            return KEY_SEPARATOR.join(map(self.text, keys))
        return PART_SEPARATOR.join(quoted(self.text(key)) for key in keys)

    def _texts_of_enums(self, key: Any) -> tuple[Any, ...]:
        return tuple(map(sortable, self.parts(key)))

    def _text_of_parts(self, key: Any) -> str:
        return PART_SEPARATOR.join(quoted(written(part)) for part in key)

    def _split(self, given: str) -> list[str]:
        parts = [unquoted(part) for part in split(given, PART_SEPARATOR)]
        if len(parts) != len(self.names):
            raise PydanticCustomError("key_parts", f"write {self.label}: {len(self.names)} values, separated by commas")
        return parts


def sortable(value: Any) -> Any:
    """Return the sort key of a value of a key: the text of a member of an enum, which has no order, or the value."""
    return str(value.value) if isinstance(value, Enum) else value


def written(value: Any) -> str:
    """Return a value of a key as text: an instant as RFC 3339, an enum as its value, a decimal without further zeros.

    Equal values have one text, however a client or the database writes them.
    """
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, Decimal) and value.is_finite():
        digits = f"{value:f}" if value else "0"
        return digits.rstrip("0").removesuffix(".") if "." in digits else digits
    if isinstance(value, (str, UUID)) or type(value) is int:
        return str(value)
    plain = to_jsonable_python(value)
    return str(plain).lower() if isinstance(plain, bool) else str(plain)


def quoted(text: str) -> str:
    """Put a text that holds a separator or a quote, or is empty, into double quotes."""
    return f'"{text.replace(chr(34), chr(34) * 2)}"' if NEEDS_QUOTES.search(text) else text


def unquoted(text: str) -> str:
    """Undo `quoted`."""
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace('""', '"') if is_quoted else text


def split(text: str, separator: str) -> list[str]:
    """Split a text at each separator that does not stand within double quotes, which are kept."""
    found: list[str] = PIECES[separator].findall(text + separator)
    return found
