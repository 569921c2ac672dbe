"""Parse query strings strictly."""

import csv
from urllib.parse import parse_qsl

from rowhouse.core.errors import InvalidInputError

LINE_ENDS = ("\n", "\r")

MAX_FIELDS = 200


def parse_query(query_string: bytes) -> dict[str, str]:
    """Return the parameters of a query string.

    Raises:
        InvalidInputError: 422, a parameter is repeated, or the bytes are not UTF-8.
    """
    try:
        pairs = parse_qsl(
            query_string.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError as error:
        raise InvalidInputError.at("query", message="the query string is not valid UTF-8 or too long") from error
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise InvalidInputError.at("query", repeated, message="give this parameter once", kind="repeated")
    return found


def split_values(text: str, *place: str | int) -> list[str]:
    """Return the values of a list: `a,b`, or `"a,b",c` where a value holds a comma, as in CSV. `place` is its `loc`.

    Raises:
        InvalidInputError: 422, a quote is not closed, or something follows it.
    """
    if '"' not in text:
        return text.split(",")
    try:
        return _record(text)
    except (csv.Error, ValueError) as error:
        message = (
            "write a value with a comma, a quote or a line feed in double quotes, and each quote in it twice, as in CSV"
        )
        raise InvalidInputError.at(*place, message=message, kind="quotes") from error


def _record(text: str) -> list[str]:
    if text.endswith(LINE_ENDS):
        raise csv.Error("csv takes it for the end of the record, and drops it")
    (values,) = csv.reader([text], strict=True)
    return values
