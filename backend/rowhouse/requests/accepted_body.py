"""The bodies that a route accepts other than JSON: media types, charset and size; and those of a route that takes none.

A route has `AcceptedBody` as its attribute `accepted_body`. The fast path checks every request against it first. Reads
no body.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message

from pydantic_core import from_json

from rowhouse.core.errors import InvalidInputError, UnsupportedMediaTypeError

CHARSETS = ("utf-8", "us-ascii")
FORM = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class AcceptedBody:
    """The media types of a body, in UTF-8, and the name of the setting that limits its size."""

    media_types: tuple[str, ...]
    limit: str

    def media_type(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """Return the media type of a request's body.

        Raises:
            UnsupportedMediaTypeError: 415 for another type, or another charset (RFC 9110 §15.5.16).
        """
        parsed = Message()
        parsed["Content-Type"] = next(
            (value.decode("latin-1") for name, value in headers if name == b"content-type"), ""
        )
        found = parsed.get_content_type()
        charset = str(parsed.get_param("charset", CHARSETS[0])).lower()
        if found == FORM:
            raise UnsupportedMediaTypeError(
                "Send the file itself as the body, not as a form: "
                f"curl --data-binary @file -H 'Content-Type: {self.media_types[0]}'"
            )
        if found not in self.media_types or charset not in CHARSETS:
            raise UnsupportedMediaTypeError(f"Send the body as {' or '.join(self.media_types)}, in UTF-8.")
        return found


def reject_members(body: bytes) -> None:
    """Reject a body with members, where the operation has none. An empty object says nothing.

    Raises:
        InvalidInputError: 422, naming the members.
    """
    try:
        given = from_json(body) if body.strip() else None
    except ValueError:
        given = ""
    if isinstance(given, dict):
        if given:
            message = "This operation has no such member"
            raise InvalidInputError(
                [{"loc": ["body", name], "msg": message, "type": "extra_forbidden"} for name in given]
            )
    elif given is not None:
        raise InvalidInputError.at("body", message="this operation takes no body", kind="extra_forbidden")
