"""Checks the form of every error (docs/contract.md §4, RFC 9457)."""

import http
from typing import Any

from httpx2 import Response

MEMBERS = {"type", "title", "status", "detail", "code"}


def problem(answer: Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Check the form of an error response completely, and return its problem."""
    request = f"{answer.request.method} {answer.request.url}"
    assert answer.status_code == status, f"{request} → {answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    further = {"errors"} if status == 422 else {"conflict", "errors"} & told.keys() if status == 409 else set()
    assert set(told) == MEMBERS | further
    assert told["status"] == status
    assert told["title"] == http.HTTPStatus(status).phrase
    assert isinstance(told["type"], str)
    assert isinstance(told["detail"], str)
    assert told["detail"]
    assert told["code"].replace("_", "").isalpha()
    assert code in (None, told["code"]), told
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    if status == 422:
        _check_faults(told["errors"])
    return told


def _check_faults(faults: list[dict[str, Any]]) -> None:
    assert faults
    for fault in faults:
        assert set(fault) == {"loc", "msg", "type"}
        assert fault["loc"][0] in ("body", "query", "path", "header")
        assert fault["msg"]
        assert fault["type"]


def faulty_members(answer: Response) -> set[str]:
    """Return the members of the body, or the parameters, that a 422 names."""
    return {str(fault["loc"][1]) for fault in problem(answer, 422)["errors"] if len(fault["loc"]) > 1}
