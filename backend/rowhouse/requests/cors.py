"""CORS: pages of the origins in `CORS_ORIGINS` may call the API from a browser, and no others.

Starlette's middleware, with a problem as its error response. Cookies and other credentials that a browser sends by
itself are never allowed: a page puts the caller's token into `Authorization`.
"""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from rowhouse.core.errors import InvalidRequestError
from rowhouse.core.problems import problem_response

# The response headers that a page may read.
EXPOSED = (
    "Content-Disposition",
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "Preference-Applied",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
    "X-Total-Count",
)
# The headers of a rejected preflight that are not copied; the others say what is allowed.
OWN_HEADERS = ("content-length", "content-type")


class Cors(CORSMiddleware):
    """Responds to preflights, and adds the origin to responses."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        super().__init__(
            app, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=EXPOSED, max_age=600
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Return Starlette's response, or a problem for a rejected preflight."""
        response = super().preflight_response(request_headers)
        if response.status_code < 400:  # noqa: PLR2004  errors begin here
            return response
        problem = problem_response(InvalidRequestError(f"{bytes(response.body).decode()}; see CORS_ORIGINS."))
        for name, value in response.headers.items():
            if name not in OWN_HEADERS:
                problem.headers[name] = value
        return problem
