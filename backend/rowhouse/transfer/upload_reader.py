"""Reads the rows of an uploaded file, CSV or NDJSON, as JSON objects. Only one row is in memory at a time.

Only the form of the file is checked here. A row that cannot be read is returned with its error. A row may have as
many bytes as the body of a single create.
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
# Spreadsheets write semicolons where the comma separates decimals.
DELIMITERS = (",", ";", "\t")
# The limit of `csv` holds for the process and is far below the length of a text column. `RowSource` limits the whole
# row.
csv.field_size_limit(sys.maxsize)


class UnreadableError(ValueError):
    """A row that cannot be read. The message says why."""


class Line(NamedTuple):
    """One row of the file: the line at which it begins, from 1, and its JSON object or why it is unreadable."""

    number: int
    text: str
    error: str | None = None


class RowSource:
    """The decoded lines of a file. An iterator that continues after an error, which a generator cannot."""

    def __init__(self, file: IO[bytes], *, longest: int) -> None:
        file.seek(0)
        self.number = 0
        self._file = file
        self._longest = longest
        self._bytes_read = 0

    def begin_row(self) -> int:
        """Start to count the bytes of a new row, and return the number of its first line."""
        self._bytes_read = 0
        return self.number + 1

    def first_line(self) -> str:
        """Return the first line that is not blank, and begin again; nothing if it cannot be read."""
        self.begin_row()
        try:
            found = next((line for line in self if line.strip(BLANK)), "")
        except UnreadableError:
            found = ""
        self._file.seek(0)
        self.number = 0
        return found

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """Return the next line with its line break.

        Raises:
            UnreadableError: if the row is too long, or the line is not UTF-8.
        """
        raw = self._file.readline(self._longest + 1)
        if not raw:
            raise StopIteration
        if not self.number:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        self.number += 1
        self._bytes_read += len(raw)
        if self._bytes_read > self._longest:
            self._skip_line(raw)
            raise UnreadableError(f"a row has at most {self._longest} bytes")
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            raise UnreadableError("this is not UTF-8") from error

    def _skip_line(self, raw: bytes) -> None:
        while raw and not raw.endswith(b"\n"):
            raw = self._file.readline(PIECE)


def ndjson_lines(source: RowSource) -> Iterator[Line]:
    """Yield one row for each line that is not blank."""
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
    """The columns that a CSV file may have. Turns their cells into JSON."""

    def __init__(self, columns: Mapping[str, Column], *, required: Sequence[str]) -> None:
        self._readers = {name: (quoted(name), c.type.read_cell, c.empty_cell) for name, c in columns.items()}
        self._required = required

    def lines(self, source: RowSource) -> Iterator[Line]:
        """Yield one row for each record. Blank lines are skipped.

        Raises:
            InvalidInputError: 422 for a header with a column that cannot be set, or without a required column.
        """
        records = _records(source, delimiter=self._delimiter(source.first_line()))
        head = next(records, None)
        if head is None:
            return
        number, names, problem = head
        self._check_header(number, names, problem)
        readers = [self._readers[name] for name in names]
        for number, cells, problem in records:
            if problem is None and len(cells) != len(names):
                problem = f"the header has {len(names)} cells, this row {len(cells)}"  # noqa: PLW2901  the row's own
            yield Line(number, "" if problem else _object(readers, cells), problem)

    def _delimiter(self, header: str) -> str:
        """Return what separates the cells: a comma, or a semicolon or a tab if only that finds a column."""
        for delimiter in DELIMITERS:
            names = {name.strip('"') for name in header.strip("\r\n").split(delimiter)}
            if not names.isdisjoint(self._readers):
                return delimiter
        return DELIMITERS[0]

    def _check_header(self, number: int, names: Sequence[str], problem: str | None) -> None:
        errors = [_header_error(number, None, problem, "csv_invalid")] if problem else []
        for position, name in enumerate(names):
            if name not in self._readers:
                errors.append(_header_error(number, name, "no such column can be set here", "extra_forbidden"))
            elif name in names[:position]:
                errors.append(_header_error(number, name, "name each column once", "repeated"))
        if not problem:
            missing = [name for name in self._required if name not in names]
            errors += [_header_error(number, name, "this column is required", "missing") for name in missing]
        if errors:
            raise InvalidInputError(errors)


def _header_error(number: int, name: str | None, message: str, kind: str) -> dict[str, Any]:
    where = ["body", "header"] if name is None else ["body", "header", name]
    return {"loc": where, "msg": f"line {number}: {message}", "type": kind}


def _records(source: RowSource, *, delimiter: str) -> Iterator[tuple[int, list[str], str | None]]:
    """Yield the records of a CSV file (RFC 4180, any line breaks): the first line, the cells, and an error."""
    reader = csv.reader(source, delimiter=delimiter, strict=True)
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
