"""The tree of errors, and their responses (RFC 9457)."""

import asyncio
import json
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from rowhouse.app import error_handlers
from rowhouse.core import errors
from rowhouse.core.errors import InvalidInputError, RowhouseError
from rowhouse.core.problems import problem_response
from rowhouse.schemas.json_types import NUMBER_TEXT, require_format

REQUEST = Request({"type": "http"})


def tree(root: type[RowhouseError] = RowhouseError) -> list[type[RowhouseError]]:
    """Return the errors that the module defines."""
    below = [error for child in root.__subclasses__() for error in tree(child)]
    return [error for error in (root, *below) if error.__module__ == errors.__name__]


def made(kind: type[RowhouseError]) -> RowhouseError:
    """Return an error of this class."""
    return kind([]) if issubclass(kind, InvalidInputError) else kind()


@pytest.mark.parametrize("kind", tree())
def test_an_error_is_sent_as_a_problem(kind: type[RowhouseError]) -> None:
    """It has the five members, and its detail is a sentence."""
    response = problem_response(made(kind))
    body = json.loads(bytes(response.body))
    assert response.headers["content-type"] == "application/problem+json"
    assert (body["type"], body["status"], body["code"]) == ("about:blank", response.status_code, kind.code)
    assert body["title"]
    assert body["detail"].endswith((".", "…`."))
    assert ("errors" in body) == issubclass(kind, InvalidInputError)


@pytest.mark.parametrize(("statuses", "header"), [((401,), "WWW-Authenticate"), ((429, 503), "Retry-After")])
def test_a_status_brings_its_header(statuses: tuple[int, ...], header: str) -> None:
    """Every error with the status has it, and no other."""
    for kind in tree():
        assert (header in problem_response(made(kind)).headers) == (kind.status in statuses), kind


def test_codes_are_stable_and_distinct() -> None:
    """Programs distinguish errors by them."""
    codes = [kind.code for kind in tree()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", tree()[1:])
def test_the_module_opens_with_the_tree(kind: type[RowhouseError]) -> None:
    """It contains every error with its code."""
    line = next(line for line in str(errors.__doc__).splitlines() if kind.__name__ in line)
    assert kind.code in line


def test_a_detail_of_ones_own() -> None:
    """It replaces the default one."""
    error = errors.NotFoundError("There is no such book.")
    assert (error.detail, str(error)) == ("There is no such book.", "There is no such book.")
    assert str(errors.NotFoundError()) == errors.NotFoundError.default_detail


def test_errors_of_pydantic_have_a_place() -> None:
    """Without the input and without links."""

    class Model(BaseModel):
        number: int

    with pytest.raises(ValidationError) as refused:
        Model.model_validate({"number": "secret"})
    (fault,) = InvalidInputError.from_pydantic(refused.value, "body", 3).errors
    assert (fault["loc"], fault["type"], set(fault)) == (["body", 3, "number"], "int_parsing", {"loc", "msg", "type"})


def test_the_message_of_a_validator_has_no_prefix() -> None:
    """Pydantic's says what it raised; the kind says that too."""
    number: Any = Annotated[float, require_format(NUMBER_TEXT, "a number")]
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(number).validate_python("1_0")
    (fault,) = InvalidInputError.from_pydantic(refused.value, "query", "price").errors
    assert fault == {"loc": ["query", "price"], "msg": "write a number", "type": "value_error"}


def test_the_element_of_a_batch_is_named() -> None:
    """In every kind of error, and before the position within the element."""
    conflict = errors.ConflictError("Taken.")
    assert conflict.faults() == []
    assert conflict.element_error(3).faults() == [{"loc": ["body", 3], "msg": "Taken.", "type": "conflict"}]
    invalid = InvalidInputError.at("body", "price", message="too low")
    assert invalid.faults() == [{"loc": ["body", "price"], "msg": "too low", "type": "value_error"}]
    assert [fault["loc"] for fault in invalid.element_error(3).faults()] == [["body", 3, "price"]]
    (whole,) = InvalidInputError([], "Not so.").element_error(0).faults()
    assert (whole["loc"], whole["msg"]) == (["body", 0], "Not so.")


@pytest.mark.parametrize(
    ("status", "detail", "code", "words"),
    [
        (404, None, "not_found", errors.NotFoundError.default_detail),
        (404, "No such shelf.", "not_found", "No such shelf."),
        (405, None, "method_not_allowed", error_handlers.HTTP_DETAILS[405]),
        (413, None, "content_too_large", error_handlers.HTTP_DETAILS[413]),
        (422, "Wrong.", "invalid_input", "Wrong."),
        (418, None, "im_a_teapot", "I'm a Teapot"),
        (400, "There was an error parsing the body", "bad_request", "There was an error parsing the body"),
    ],
)
def test_an_error_of_starlette_is_a_problem(status: int, detail: str | None, code: str, words: str) -> None:
    """In the form of every error, with its own text."""
    response = asyncio.run(error_handlers.handle_http_exception(REQUEST, HTTPException(status, detail, {"x-own": "1"})))
    body = json.loads(bytes(response.body))
    assert (response.status_code, body["code"], body["detail"]) == (status, code, words)
    assert response.headers["x-own"] == "1"


@pytest.mark.parametrize("cause", [UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"), RecursionError()])
def test_a_body_that_is_no_json_is_422(cause: Exception) -> None:
    """FastAPI responds with 400 to some of them."""
    error = HTTPException(400)
    error.__cause__ = cause
    response = asyncio.run(error_handlers.handle_http_exception(REQUEST, error))
    assert (response.status_code, json.loads(bytes(response.body))["errors"][0]["loc"]) == (422, ["body"])


HANDLERS: list[Any] = [
    error_handlers.handle_rowhouse_error,
    error_handlers.handle_http_exception,
    error_handlers.handle_validation_error,
]


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_handler_takes_its_own_errors_only(handler: Any) -> None:
    """A wrong registration of a handler is an error."""
    with pytest.raises(TypeError, match="registered for"):
        asyncio.run(handler(REQUEST, ValueError()))


def test_an_unknown_database_error_is_raised_on() -> None:
    """The server logs its traceback."""
    with pytest.raises(RowhouseError):
        asyncio.run(error_handlers.handle_rowhouse_error(REQUEST, RowhouseError()))


def test_the_last_resort() -> None:
    """A 500 that reveals nothing of the error."""
    response = asyncio.run(error_handlers.handle_unexpected_error(REQUEST, ValueError("hidden")))
    assert response.status_code == 500
    assert b"hidden" not in bytes(response.body)
