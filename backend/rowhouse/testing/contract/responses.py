"""Checks of a response: it is documented in OpenAPI, and an error is a problem of RFC 9457 (docs/contract.md §4)."""

import http
from collections.abc import Mapping
from typing import Any

from httpx2 import Response

Document = Mapping[str, Any]
PROBLEM = "application/problem+json"
MEMBERS = {"type", "title", "status", "detail", "code"}


def check_documented(document: Document, template: str, answer: Response) -> None:
    """Require that the document lists the status and the media type of a response."""
    request = f"{answer.request.method} {answer.request.url}"
    listed = document["paths"][template].get(answer.request.method.lower(), {}).get("responses", {})
    status = str(answer.status_code)
    assert status in listed, f"{request} → {status}, which OpenAPI does not list: {answer.text}"
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if answer.content:
        content = listed[status].get("content", {})
        assert media_type in content, f"{request} → {status} as {media_type}; OpenAPI lists {', '.join(content)}"


def problem(answer: Response, status: int, code: str | None = None) -> dict[str, Any]:
    """Require that a response is a problem with this status, and return it."""
    request = f"{answer.request.method} {answer.request.url}"
    assert answer.status_code == status, f"{request} → {answer.status_code} {answer.text}, not {status}"
    assert answer.headers["content-type"] == PROBLEM
    body: dict[str, Any] = answer.json()
    assert set(body) >= MEMBERS
    assert (body["status"], body["title"]) == (status, http.HTTPStatus(status).phrase)
    assert body["detail"]
    assert code in (None, body["code"]), body
    if status == http.HTTPStatus.UNAUTHORIZED:
        assert answer.headers["www-authenticate"].startswith("Bearer")
    if status == http.HTTPStatus.UNPROCESSABLE_ENTITY:
        for error in body["errors"]:
            assert set(error) == {"loc", "msg", "type"}
    return body


def faulty_places(answer: Response) -> set[tuple[Any, ...]]:
    """Return the places that a 422 names, each as `("body", "name")` or `("query", "size")`."""
    return {tuple(error["loc"][:2]) for error in problem(answer, 422)["errors"]}
