"""The OpenAPI document is complete, has no dangling references, and suits client generators."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Annotated, Any

import pytest
from pydantic import Field

from rowhouse.app import openapi_document as document_module
from rowhouse.app.openapi_document import build_openapi
from rowhouse.core.openapi import problem_responses, resolved, shared_problem_responses
from rowhouse.core.problems import PROBLEM_MEDIA_TYPE
from rowhouse.http.routing import Router
from tests.core.conftest import Serve, build, build_shop
from tests.fast_client import QuickClient

PATIENT = 5.0  # seconds
METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document(sqlite_url: str) -> dict[str, Any]:
    """The document of the sample shop."""
    return build_shop(sqlite_url).openapi()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every path, method and operation."""
    for path, item in resolved(document)["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


def references(part: Any) -> Iterator[str]:
    """Yield every reference in a part of the document."""
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        part = list(part.values())
    if isinstance(part, list):
        for entry in part:
            yield from references(entry)


def test_every_path_has_its_prefix_and_no_trailing_slash(document: dict[str, Any]) -> None:
    """`/health` and the pages are not in it."""
    paths = list(document["paths"])
    assert "/api/v1/users/me" in paths
    assert "/api/v1/books/{id}" in paths
    assert all(path.startswith("/api/v1/") and not path.endswith("/") for path in paths)


def test_operation_ids_are_unique(document: dict[str, Any]) -> None:
    """They become the methods of generated clients."""
    counted = Counter(operation["operationId"] for _, _, operation in operations(document))
    assert [name for name, number in counted.items() if number > 1] == []
    assert "list_books" in counted


def test_no_reference_dangles(document: dict[str, Any]) -> None:
    """Each names a component of the document."""
    components = {f"#/components/{kind}/{name}" for kind, found in document["components"].items() for name in found}
    assert set(references(document)) <= components


def test_every_error_is_a_problem(document: dict[str, Any]) -> None:
    """Of RFC 9457, with its required members. FastAPI's own form of 422 does not occur."""
    for path, method, operation in operations(document):
        for status, response in operation["responses"].items():
            if int(status) >= 400:
                assert list(response["content"]) == [PROBLEM_MEDIA_TYPE], (path, method, status)
    problem = document["components"]["schemas"]["Problem"]
    assert problem["required"] == ["type", "title", "status", "detail", "code"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_operation_can_be_refused_for_lack_of_room(document: dict[str, Any]) -> None:
    """Each documents 503."""
    assert [path for path, _, operation in operations(document) if "503" not in operation["responses"]] == []


def test_the_document_is_served_and_built_once(sqlite_url: str, serve: Serve) -> None:
    """At the root."""
    app = build(sqlite_url)
    assert app.openapi() is app.openapi()
    assert app.openapi()["paths"] == {}
    assert serve().get("/openapi.json").json() == app.openapi()


def test_a_developers_own_document_is_served(sqlite_url: str) -> None:
    """By FastAPI's documented way."""
    app = build(sqlite_url)
    mine = {"openapi": "3.1.0", "info": {"title": "Mine"}}
    app.openapi = lambda: mine  # type: ignore[method-assign]  # FastAPI's documented way
    with QuickClient(app) as client:
        assert client.get("/openapi.json").json() == mine


def test_only_a_request_for_the_document_waits_for_it(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """For many entities it takes a second to build."""
    begun, released = Event(), Event()

    def slow(*given: Any, **options: Any) -> dict[str, Any]:
        begun.set()
        released.wait(PATIENT)
        return build_openapi(*given, **options)

    monkeypatch.setattr(document_module, "build_openapi", slow)
    client = serve()
    with ThreadPoolExecutor(1) as asking:
        asked = asking.submit(client.get, "/openapi.json")
        assert begun.wait(PATIENT)
        assert client.get("/health").status_code == 200
        assert not asked.done()
        released.set()
        assert asked.result().json()["info"]["title"] == "Rowhouse"


def test_whole_bounds_are_whole(serve: Serve) -> None:
    """As a float, the largest 64-bit integer would be one more."""
    router = Router()

    @router.get("/bounded")
    def bounded(
        number: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] = 0, share: Annotated[float, Field(gt=0.5, lt=9)] = 1
    ) -> None:
        """A route with bounds."""

    parameters = resolved(serve(router).get("/openapi.json").json())["paths"]["/api/v1/bounded"]["get"]["parameters"]
    number, share = (parameter["schema"] for parameter in parameters)
    assert (number["minimum"], number["maximum"]) == (-(2**63), 2**63 - 1)
    assert (share["exclusiveMinimum"], share["exclusiveMaximum"]) == (0.5, 9)


def test_a_status_without_words_has_its_phrase() -> None:
    """And its schema and an example."""
    responses = problem_responses(404, 418)
    assert responses[404]["description"] == "Missing, or someone else's."
    assert responses[418]["description"] == "I'm a Teapot"
    assert responses[418]["content"][PROBLEM_MEDIA_TYPE]["schema"]["$ref"].endswith("/Problem")
    assert responses[418]["content"][PROBLEM_MEDIA_TYPE]["example"]["title"] == "I'm a Teapot"


def test_each_error_has_an_example_of_its_own_status(document: dict[str, Any]) -> None:
    """With the code that it has by default; one of invalid input lists a fault. Each stands in the document once."""
    examples: dict[int, Any] = {}
    for _, _, operation in operations(document):
        for status, response in operation["responses"].items():
            if status >= "4":
                examples[int(status)] = example = response["content"][PROBLEM_MEDIA_TYPE]["example"]
                assert example["status"] == int(status)
    assert {example["code"] for example in examples.values()} >= {"not_found", "conflict", "content_too_large", "stale"}
    assert [status for status, example in examples.items() if "errors" in example] == [422]
    assert str(document).count(examples[409]["detail"]) == 1


def test_generated_routes_share_the_descriptions_of_errors() -> None:
    """They were 55 kB of each entity. A project may change its own."""
    assert shared_problem_responses(404, 409) == problem_responses(404, 409)
    assert shared_problem_responses(409)[409] is shared_problem_responses(409, 404)[409]
    problem_responses(409)[409]["content"].clear()
    assert shared_problem_responses(409) == problem_responses(409)
