"""Routes with a body other than JSON accept its media types and reject others."""

import pytest

from rowhouse.core.errors import UnsupportedMediaTypeError
from rowhouse.requests.accepted_body import AcceptedBody

ACCEPTED = AcceptedBody(("text/csv", "application/x-ndjson"), limit="max_import_bytes")


@pytest.mark.parametrize(
    "given",
    [
        "text/csv",
        "Text/CSV; header=present",
        "text/csv;charset=utf-8",
        'text/csv; charset="UTF-8"',
        "text/csv; charset=US-ASCII",
    ],
)
def test_a_media_type_is_compared_in_any_case(given: str) -> None:
    """Its parameters are ignored, except the charset (RFC 9110 §8.3.1)."""
    assert ACCEPTED.media_type([(b"accept", b"x/y"), (b"content-type", given.encode())]) == "text/csv"


@pytest.mark.parametrize(
    "given",
    [None, b"", b"csv", b"text/plain", b"text/csv; charset=latin-1", b"text/csv;charset=\xe4", b"text/csv, text/csv"],
)
def test_any_other_is_refused(given: bytes | None) -> None:
    """The message names the accepted ones."""
    headers = [] if given is None else [(b"content-type", given)]
    with pytest.raises(UnsupportedMediaTypeError, match="text/csv or application/x-ndjson"):
        ACCEPTED.media_type(headers)
