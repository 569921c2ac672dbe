"""`Prefer: return=minimal` (RFC 7240 §4.2): the response of a write without the rows, for clients that have them.

Unknown preferences and malformed headers are ignored, as the RFC requires.
"""

import re
from collections.abc import Callable, Iterator, Mapping

from starlette.responses import Response

from rowhouse.core.openapi import header, response_header
from rowhouse.operations.page_request import JSON

CREATED, NO_CONTENT = 201, 204
MINIMAL = "minimal"
RETURNS = (MINIMAL, "representation")
TOKEN, QUOTED = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", r'"(?:[^"\\]|\\.)*"'
# One preference, up to the comma behind it; its parameters are of no interest.
PREFERENCE = re.compile(rf"[\s,]*({TOKEN})\s*(?:=\s*({QUOTED}|{TOKEN})?)?\s*((?:;(?:{QUOTED}|[^\",])*)?)(?:,|\Z)")
PREFER = header("Prefer", "`return=minimal`: respond without a body, with the status 204 (RFC 7240).")
APPLIED = response_header("Preference-Applied", "The preference that was honoured.", required=False)


def return_preference(given: str) -> str | None:
    """Return `minimal` or `representation` if a header `Prefer` asks for it. The first `return` counts."""
    wanted = next((value for name, value in _preferences(given) if name == "return"), None)
    return wanted if wanted in RETURNS else None


def _preferences(given: str) -> Iterator[tuple[str, str]]:
    end = 0
    while (found := PREFERENCE.match(given, end)) is not None:
        yield found[1].lower(), (found[2] or "").strip('"').lower()
        end = found.end()


def preferred_response(
    prefer: str, content: Callable[[], bytes], *, status: int, headers: Mapping[str, str]
) -> Response:
    """Return the response to a write as the client prefers it. `content` makes the body."""
    wanted = return_preference(prefer)
    if wanted is None:
        return Response(content(), status, headers, JSON)
    headers = {**headers, "Preference-Applied": f"return={wanted}", "Vary": "Prefer"}
    if wanted == MINIMAL:
        return Response(None, status if status == CREATED else NO_CONTENT, headers)
    return Response(content(), status, headers, JSON)
