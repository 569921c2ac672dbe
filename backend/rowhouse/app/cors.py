"""Which pages of other origins may call the API from a browser: those that `CORS_ORIGINS` names, and no other.

Starlette's middleware, whose one refusal is told as a problem like every other error. Cookies and other credentials that a browser
sends by itself are never allowed: a caller is known by the token that a page puts into `Authorization`.
"""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp

from rowhouse.core.errors import InvalidRequestError, problem_response

# What a page may read of an answer beside its body.
EXPOSED = (
    "Content-Disposition",
    "ETag",
    "Idempotent-Replayed",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
)
# Of a preflight; the others say what would have been allowed.
OWN_HEADERS = ("content-length", "content-type")


class Cors(CORSMiddleware):
    """Answers preflights, and names the origin in what is sent to it."""

    def __init__(self, app: ASGIApp, *, origins: Sequence[str]) -> None:
        super().__init__(
            app, allow_origins=origins, allow_methods=["*"], allow_headers=["*"], expose_headers=EXPOSED, max_age=600
        )

    def preflight_response(self, request_headers: Headers) -> Response:
        """Starlette's answer, or a problem for what is not allowed."""
        answer = super().preflight_response(request_headers)
        if answer.status_code < 400:  # noqa: PLR2004  where errors begin
            return answer
        problem = problem_response(InvalidRequestError(f"{bytes(answer.body).decode()}; see CORS_ORIGINS."))
        for name, value in answer.headers.items():
            if name not in OWN_HEADERS:
                problem.headers[name] = value
        return problem
