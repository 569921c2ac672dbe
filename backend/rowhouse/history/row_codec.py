"""Encode rows as JSON and decode them again without loss, for the archive and the history."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from rowhouse.db.compiled import Row
from rowhouse.db.out_of_range import out_of_range
from rowhouse.entities.model import TEMPORAL
from rowhouse.schemas.columns import Column


class DecodedRow(NamedTuple):
    """A decoded row. It lacks the columns in `unfit`: their type has changed, and their values do not fit any more."""

    row: Row
    unfit: Sequence[str]


class RowCodec:
    """Encodes rows as JSON text and decodes them without losing a digit, a byte or a null."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._adapters = {name: TypeAdapter(column.archive_annotation) for name, column in columns.items()}
        self._temporal = {n for n, c in columns.items() if isinstance(c.column.type, TEMPORAL)}
        # pydantic knows how to write all other values.
        self._writers = {n: self._adapters[n].serializer for n, column in columns.items() if column.type.archive}

    def write(self, row: Row) -> str:
        """Return the row as JSON text: bytes as base64, decimals with every digit."""
        written = {
            n: writer.to_python(row[n], mode="json", warnings=False)
            for n, writer in self._writers.items()
            if row[n] is not None
        }
        return to_json({**row, **written}, bytes_mode="base64", inf_nan_mode="strings").decode()

    def read(self, content: Mapping[str, Any]) -> DecodedRow:
        """Return the row in parsed JSON.

        It lacks columns that did not exist when it was written, and columns that do not exist any more.
        """
        row: Row = {}
        unfit = []
        for name, value in content.items():
            if name in self._adapters:
                try:
                    row[name] = None if value is None else self._adapters[name].validate_python(value)
                except ValidationError:
                    stored = out_of_range(value) if name in self._temporal else None
                    if stored is None:
                        unfit.append(name)
                    else:
                        row[name] = stored
        return DecodedRow(row, unfit)
