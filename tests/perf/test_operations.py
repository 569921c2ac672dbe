"""The operations of a document, none left out."""

from collections import Counter
from typing import Any

import pytest

from perf.load.operations import Api, UncallableOperationError
from tests.openapi_documents import document_of
from tests.perf.conftest import REGISTRIES

ITEM, LIST = "/api/v1/things/{id}", "/api/v1/things"


def described(*, success: str = "200", media_type: str | None = None) -> dict[str, Any]:
    """An operation of a document."""
    body = {"requestBody": {"content": {media_type: {"schema": {"type": "object"}}}}} if media_type else {}
    return {"operationId": "thing", "responses": {success: {}}, **body}


@pytest.mark.parametrize("side", REGISTRIES)
def test_every_operation_of_the_document_is_a_task(side: str) -> None:
    """Hand-written ones too, and nothing else."""
    document = document_of(side)
    documented = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, item in document["paths"].items()
        for method in item
    }
    tasks = Counter(operation.label for operation in Api(document).weighted())
    assert set(tasks) == documented
    assert all(tasks.values())


@pytest.mark.parametrize("side", REGISTRIES)
def test_every_registered_operation_is_a_task(side: str) -> None:
    """For each line of the table of contents."""
    labels = {operation.label for operation in Api(document_of(side)).operations}
    registered = REGISTRIES[side].registrations
    assert {f"GET /{path}" for path in registered} <= labels
    deletable = {path for path, line in registered.items() if "delete" in line.operations}
    assert {f"DELETE /{path}/{{id}}" for path in deletable} <= labels


def test_accounts_weigh_less_than_rows_and_rows_less_than_reading() -> None:
    """Sign-up as little as login."""
    api = Api(document_of("product"))
    weights = [api.by_label[label].weight for label in ("POST /auth/login", "POST /books", "GET /books/{id}")]
    assert weights == sorted(set(weights))
    assert api.by_label["POST /users"].weight == weights[0]


def test_the_key_goes_into_the_path() -> None:
    """And not into the name."""
    operation = Api(document_of("product")).by_label["GET /charge-points/{id}"]
    assert operation.path_of(12) == "/api/v1/charge-points/12"
    assert (operation.name, operation.collection) == ("/charge-points/{id}", "/api/v1/charge-points")


@pytest.mark.parametrize(
    ("paths", "complaint"),
    [
        ({}, "no operations"),
        ({ITEM: {"get": described()}}, "GET /things/{id}: /api/v1/things can be neither listed nor added to"),
        ({LIST: {"get": described()}, ITEM: {"delete": described()}}, "DELETE /things/{id}: nothing makes rows"),
        ({LIST: {"post": described()}, f"{ITEM}/restore": {"post": described()}}, "restore: nothing deletes rows"),
        ({LIST: {"get": described()}, f"{ITEM}/restore": {"post": described()}}, "restore: nothing makes rows"),
        ({"/api/v1/things/{id}/parts/{part_id}": {"get": described()}}, "more than one parameter"),
        ({LIST: {"post": described(media_type="text/csv")}}, "POST /things: takes text/csv"),
        (
            {f"{LIST}/import": {"post": described(media_type="application/x-ndjson")}},
            "takes rows of /api/v1/things, and no",
        ),
        ({LIST: {"get": described(success="404")}}, "GET /things: documents no answer of success"),
        *(
            ({LIST: {"get": {**described(), "x-slo-ms": bound}}}, "GET /things: x-slo-ms must be a whole number")
            for bound in (0, -1, "fast", 1.5)
        ),
    ],
)
def test_an_operation_that_cannot_be_called_is_an_error(paths: dict[str, Any], complaint: str) -> None:
    """It is named, and so is the reason."""
    with pytest.raises(UncallableOperationError) as caught:
        Api({"paths": paths})
    assert complaint in str(caught.value)


def test_files_belong_to_their_collection() -> None:
    """A file is sent as lines of JSON, whose rows a create describes; its stream is judged by its beginning."""
    api = Api(document_of("product"))
    sent, read = api.by_label["POST /books/import"], api.by_label["GET /books/export"]
    assert (sent.collection, sent.takes_rows, sent.media_type) == ("/api/v1/books", True, "application/x-ndjson")
    assert (read.collection, read.is_stream, read.takes_row) == ("/api/v1/books", True, False)
    assert [operation.label for operation in api.operations if operation.is_stream and operation.body] == []
    assert sent.weight == read.weight == api.by_label["POST /auth/login"].weight
