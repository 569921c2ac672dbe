"""The rows of an uploaded file, CSV or NDJSON, as JSON objects one after the other; none is held beside the one at hand.

Nothing is judged here but the form of the file: what cannot be read is a row with its complaint. A row may have so many bytes as
the body of a single creation.
"""

import codecs
import csv
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple

from rowhouse.core.errors import InvalidInputError
from rowhouse.schemas.columns import Column
from rowhouse.schemas.csv_cells import quoted

BLANK = " \t\r\n"
PIECE = 65_536
# The limit of `csv` is the process's and far below what a text column may hold; `RowSource` has one for the whole row.
csv.field_size_limit(sys.maxsize)


class UnreadableError(ValueError):
    """A row that cannot be read; says why."""


class Line(NamedTuple):
    """One row of the file: the line it begins at, from 1, and its JSON object, or why there is none."""

    number: int
    text: str
    complaint: str | None = None


class RowSource:
    """The lines of a file from its beginning, decoded; an iterator that goes on after an error, as a generator could not."""

    def __init__(self, file: IO[bytes], *, longest: int) -> None:
        file.seek(0)
        self.number = 0
        self._file = file
        self._longest = longest
        self._taken = 0

    def begin_row(self) -> int:
        """Allow the lines of one more row, and give the number of the first of them."""
        self._taken = 0
        return self.number + 1

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """The next line with its end.

        Raises:
            UnreadableError: the row is too long, or the line is not UTF-8.
        """
        raw = self._file.readline(self._longest + 1)
        if not raw:
            raise StopIteration
        if not self.number:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        self.number += 1
        self._taken += len(raw)
        if self._taken > self._longest:
            self._pass_over(raw)
            raise UnreadableError(f"a row has at most {self._longest} bytes")
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise UnreadableError("this is not UTF-8") from error

    def _pass_over(self, raw: bytes) -> None:
        while raw and not raw.endswith(b"\n"):
            raw = self._file.readline(PIECE)


def ndjson_lines(source: RowSource) -> Iterator[Line]:
    """One row a line; blank lines are passed over."""
    while True:
        number = source.begin_row()
        try:
            text = next(source, None)
        except UnreadableError as error:
            yield Line(number, "", str(error))
            continue
        if text is None:
            return
        if text.strip(BLANK):
            yield Line(number, text)


class CsvColumns:
    """What the columns of a CSV file may be, and the way from their cells to JSON."""

    def __init__(self, columns: Mapping[str, Column], *, required: Sequence[str]) -> None:
        self._readers = {name: (quoted(name), c.type.read_cell, c.empty_cell) for name, c in columns.items()}
        self._required = required

    def lines(self, source: RowSource) -> Iterator[Line]:
        """One row a record; blank lines are passed over.

        Raises:
            InvalidInputError: 422 for a header that names columns which cannot be set, or does not name all that must be.
        """
        records = _records(source)
        head = next(records, None)
        if head is None:
            return
        number, names, complaint = head
        self._check_header(number, names, complaint)
        readers = [self._readers[name] for name in names]
        for number, cells, complaint in records:
            if complaint is None and len(cells) != len(names):
                complaint = f"the header has {len(names)} cells, this row {len(cells)}"  # noqa: PLW2901  the row's own
            yield Line(number, "" if complaint else _object(readers, cells), complaint)

    def _check_header(self, number: int, names: Sequence[str], complaint: str | None) -> None:
        faults = [_header_fault(number, None, complaint, "csv_invalid")] if complaint else []
        for position, name in enumerate(names):
            if name not in self._readers:
                faults.append(_header_fault(number, name, "no such column can be set here", "extra_forbidden"))
            elif name in names[:position]:
                faults.append(_header_fault(number, name, "name each column once", "repeated"))
        if not complaint:
            missing = [name for name in self._required if name not in names]
            faults += [_header_fault(number, name, "this column is required", "missing") for name in missing]
        if faults:
            raise InvalidInputError(faults)


def _header_fault(number: int, name: str | None, message: str, kind: str) -> dict[str, Any]:
    where = ["body", "header"] if name is None else ["body", "header", name]
    return {"loc": where, "msg": f"line {number}: {message}", "type": kind}


def _records(source: RowSource) -> Iterator[tuple[int, list[str], str | None]]:
    """The records of a CSV file (RFC 4180, any ends of lines), each with the line it begins at, and why it cannot be read."""
    reader = csv.reader(source, strict=True)
    while True:
        number = source.begin_row()
        try:
            cells = next(reader, None)
        except (csv.Error, UnreadableError) as error:
            yield number, [], str(error)
            continue
        if cells is None:
            return
        if cells:
            yield number, cells, None


def _object(readers: Sequence[tuple[str, Any, str | None]], cells: Sequence[str]) -> str:
    members = []
    for (name, read, empty), cell in zip(readers, cells, strict=True):
        value = read(cell) if cell else empty
        if value is not None:
            members.append(f"{name}:{value}")
    return f"{{{','.join(members)}}}"
