"""Parse query strings strictly."""

from urllib.parse import parse_qsl

from rowhouse.core.errors import InvalidInputError

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
