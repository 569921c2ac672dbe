"""Renders errors as problems (RFC 9457, `application/problem+json`), and describes them for OpenAPI."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from rowhouse.core.errors import (
    ConflictError,
    InvalidInputError,
    InvalidRequestError,
    NotAuthenticatedError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionFailedError,
    RowhouseError,
    TooManyAttemptsError,
    UnavailableError,
    UnsupportedMediaTypeError,
)

PROBLEM_MEDIA_TYPE = "application/problem+json"
FAULT_EXAMPLE: dict[str, Any] = {"loc": ["body", "name"], "msg": "Field required", "type": "missing"}
# The code and the detail that an error of each status has by default.
SAID = {
    **{
        kind.status: (kind.code, kind.default_detail)
        for kind in (
            InvalidRequestError,
            NotAuthenticatedError,
            PermissionDeniedError,
            NotFoundError,
            ConflictError,
            PreconditionFailedError,
            UnsupportedMediaTypeError,
            InvalidInputError,
            TooManyAttemptsError,
            UnavailableError,
        )
    },
    413: ("content_too_large", "The body is larger than this server takes."),
}


def example_of(status: int) -> dict[str, Any]:
    """Return an example of a problem with this status, for the OpenAPI document."""
    code, detail = SAID.get(status, (HTTPStatus(status).name.lower(), "The request failed."))
    said = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, "code": code}
    return {**said, "errors": [FAULT_EXAMPLE]} if status == InvalidInputError.status else said


class Fault(BaseModel):
    """One fault of the input."""

    model_config = ConfigDict(json_schema_extra={"examples": [FAULT_EXAMPLE]})

    loc: list[str | int]
    msg: str
    type: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={"required": ["type", "title", "status", "detail", "code"], "examples": [example_of(404)]}
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[Fault] = Field(default_factory=list, description="One entry for each fault. Present with 422.")
    conflict: dict[str, Any] = Field(default_factory=dict, description="The interval of the overlapping row.")


def render(status: int, code: str, detail: str, headers: Mapping[str, str], **members: Any) -> Response:
    """Return the response for a problem."""
    title = HTTPStatus(status).phrase
    content = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code, **members}
    return Response(json.dumps(content).encode(), status, dict(headers), PROBLEM_MEDIA_TYPE)


def problem_response(error: RowhouseError) -> Response:
    """Return the response for an error."""
    faults = error.listed or error.faults()
    members = {**error.members(), **({"errors": faults} if faults or isinstance(error, InvalidInputError) else {})}
    return render(error.status, error.code, _placed(error), error.headers, **members)


def _placed(error: RowhouseError) -> str:
    """Return the detail of an error, after its place in the body, such as `Element 3, lines 1: …`."""
    element = [] if error.element is None else [f"Element {error.element}"]
    place = ", ".join([*element, *([" ".join(map(str, error.path))] if error.path else [])])
    return f"{place}: {error.detail}" if place else error.detail
