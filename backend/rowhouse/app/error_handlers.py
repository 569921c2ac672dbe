"""FastAPI's exception handlers: they render every error as a problem. `core.errors` defines the errors."""

import http

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from rowhouse.core.error_causes import report_failure
from rowhouse.core.errors import InvalidInputError, NotFoundError, RowhouseError, message_of
from rowhouse.core.problems import SAID, problem_response, render


def add_error_handlers(app: FastAPI) -> None:
    """Render every error as a problem (RFC 9457)."""
    app.add_exception_handler(RowhouseError, handle_rowhouse_error)
    app.add_exception_handler(HTTPException, handle_http_exception)
    app.add_exception_handler(RequestValidationError, handle_validation_error)
    app.add_exception_handler(Exception, handle_unexpected_error)


async def handle_rowhouse_error(request: Request, error: Exception) -> Response:
    """Exception handler for `RowhouseError`. The log contains the reason, the response only what the client can do."""
    if not isinstance(error, RowhouseError):
        raise TypeError("registered for RowhouseError only")
    if error.status == RowhouseError.status:
        # RequestMiddleware responds with a bare 500, and the server logs the traceback.
        raise error
    if error.status > RowhouseError.status:
        report_failure(request.scope, error, status=error.status)
    return problem_response(error)


async def handle_http_exception(_request: Request, error: Exception) -> Response:
    """Exception handler for Starlette's own errors: 404, 405, 413."""
    if not isinstance(error, HTTPException):
        raise TypeError("registered for HTTPException only")
    if isinstance(error.__cause__, (ValueError, RecursionError)):
        # FastAPI responds with 400 to a body that is not UTF-8, is nested too deep or has a number of thousands of
        # digits, and with 422 to any other malformed body.
        message = "the body cannot be read as JSON"
        return problem_response(InvalidInputError.at("body", message=message, kind="json_invalid"))
    standard = http.HTTPStatus(error.status_code)
    code = HTTP_CODES.get(standard) or standard.name.lower()
    detail = HTTP_DETAILS.get(standard, standard.phrase) if error.detail == standard.phrase else str(error.detail)
    return render(error.status_code, code, detail, error.headers or {})


# Python renames its members between versions. Our codes do not change.
HTTP_CODES = {413: SAID[413][0], 422: InvalidInputError.code}
HTTP_DETAILS = {
    408: "The body did not arrive in time; send it again, faster or in smaller parts.",
    404: NotFoundError.default_detail,
    405: "This path does not take that method; `Allow` lists those it takes.",
    413: SAID[413][1],
}


async def handle_validation_error(_request: Request, error: Exception) -> Response:
    """Exception handler for invalid input of hand-written routes, which FastAPI validates."""
    if not isinstance(error, RequestValidationError):
        raise TypeError("registered for RequestValidationError only")
    faults = [{"loc": list(f["loc"]), "msg": message_of(f), "type": f["type"]} for f in error.errors()]
    return problem_response(InvalidInputError(faults))


async def handle_unexpected_error(_request: Request, _error: Exception) -> Response:
    """Exception handler of last resort: a 500 without details. The log has the traceback."""
    return problem_response(RowhouseError())
