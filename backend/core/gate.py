"""What is refused of a request by its headers alone, before its route is asked and before its body is read.

Reads no body and knows no caller: it only sees to it that every reader of a header behind it sees the same one.
"""

from collections.abc import Iterable

from starlette.exceptions import HTTPException

from backend.core.errors import NotAuthenticatedError, UnsupportedMediaTypeError

Headers = Iterable[tuple[bytes, bytes]]
MAX_DIGITS = 18
PLAIN = b"identity"


def refuse_headers(headers: Headers, *, most_bytes: int) -> None:
    """Let a request pass whose body may be read as it comes.

    Raises:
        NotAuthenticatedError: 401 for more than one `Authorization`: a proxy may have judged the other one.
        UnsupportedMediaTypeError: 415 for a compressed body, whose size nobody knows (RFC 9110 §8.4, §15.5.16).
        HTTPException: 413 for a `Content-Length` over `most_bytes`; a body that says nothing of its length is counted.
    """
    credentials = 0
    for name, value in headers:
        if name == b"authorization":
            credentials += 1
        elif name == b"content-length" and _is_over(value, most_bytes):
            raise HTTPException(413)
        elif name == b"content-encoding" and value.strip().lower() not in (b"", PLAIN):
            raise UnsupportedMediaTypeError("Send the body as it is, without Content-Encoding.")
    if credentials > 1:
        raise NotAuthenticatedError("Send one Authorization header.")


def _is_over(length: bytes, most_bytes: int) -> bool:
    """Whether a length is too large; what is no number is the server's to refuse, and is counted as it comes."""
    return length.isdigit() and (len(length) > MAX_DIGITS or int(length) > most_bytes)
