"""The OpenAPI document: names, types, responses, and no secrets (docs/contract.md §1)."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.core.openapi import resolved
from rowhouse.core.problems import PROBLEM_MEDIA_TYPE
from rowhouse.entities.model import Mark
from rowhouse.registration.registry import Registration, Registry
from tests.openapi_documents import Document, resolved_document
from tests.sample_entities.application import create_app, create_odd_app
from tests.sample_entities.odd.registry import registry as odd_registry
from tests.sample_entities.shop.registry import registry as product_registry

BOOK_OPERATIONS = {
    ("get", ""): "list_books",
    ("post", ""): "create_book",
    ("get", "/{id}"): "get_book",
    ("patch", "/{id}"): "update_book",
    ("put", "/{id}"): "put_book",
    ("delete", "/{id}"): "delete_book",
    ("get", "/export"): "export_books",
    ("get", "/aggregate"): "aggregate_books",
    ("post", "/import"): "import_books",
}
OPERATION_IDS = {
    "list_charge_points",
    "get_charge_point",
    "list_categories",
    "put_category",
    "create_user",
    "login",
    "read_me",
}
SCHEMAS = {"BookCreate", "BookUpdate", "BookPublic", "Page_BookPublic_", "ChargePointCreate", "Page_ChargePointPublic_"}
PROBLEMS_OF_A_CHANGE = {"400", "401", "403", "404", "409", "413", "415", "422", "503"}
FILES = {"text/csv", "application/x-ndjson"}
PAGE_ONLY = {"page", "size", "skip", "limit", "cursor", "expand"}
TYPES = {
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "string": {"type": "string"},
    "date-time": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "time"},
    "duration": {"type": "string", "format": "duration"},
    "uuid": {"type": "string", "format": "uuid"},
}


@pytest.fixture(scope="session")
def odd_document() -> Document:
    """The document of the odd entities."""
    return resolved_document(create_odd_app)


@pytest.fixture(scope="session")
def document() -> Document:
    """The document of the sample shop."""
    return resolved_document(create_app)


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every method, path and operation."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield method, path, operation


def columns(registry: Registry) -> Iterator[tuple[Registration, str, set[Mark]]]:
    """Every column of every entity, with its marks."""
    for registration in registry.registrations.values():
        for name, column in registration.resource.columns.items():
            yield registration, name, set(column.marks)


def bare(schema: dict[str, Any], document: Document) -> dict[str, Any]:
    """Return the type and the values of a schema, without its limits. Of a choice with null, return the other part."""
    if "$ref" in schema:
        return bare(document["components"]["schemas"][schema["$ref"].rpartition("/")[2]], document)
    if "anyOf" in schema:
        return bare(next(arm for arm in schema["anyOf"] if arm.get("type") != "null"), document)
    return {word: schema[word] for word in ("type", "format", "enum") if word in schema}


def test_operation_ids_are_those_of_the_contract(document: Document) -> None:
    """Also for names of several words, irregular plurals and hand-written routes."""
    found = {(method, path): operation["operationId"] for method, path, operation in operations(document)}
    for (method, path), name in BOOK_OPERATIONS.items():
        assert found[method, f"/api/v1/books{path}"] == name
    assert set(found.values()) >= OPERATION_IDS


def test_schema_names_are_those_of_the_contract(document: Document) -> None:
    """None has FastAPI's suffixes for equal names."""
    names = set(document["components"]["schemas"])
    assert names >= SCHEMAS
    assert [name for name in names if "__" in name or "-Input" in name or "-Output" in name] == []


def test_what_has_properties_is_an_object(odd_document: Document) -> None:
    """Those of responses too, which the engine writes without a model."""
    schemas = odd_document["components"]["schemas"]
    assert {name for name, one in schemas.items() if "properties" in one and one.get("type") != "object"} == set()


def test_operation_ids_are_unique(document: Document, odd_document: Document) -> None:
    """They are valid names in every language."""
    for one in (document, odd_document):
        counted = Counter(operation["operationId"] for _, _, operation in operations(one))
        assert [name for name, number in counted.items() if number > 1] == []
        assert [name for name in counted if not name.isidentifier() or name != name.lower()] == []


def test_the_document_is_the_same_each_time(odd_client: TestClient, odd_document: Document) -> None:
    """Including the order of its members, so that a generated client changes only when the API does."""
    assert isinstance(odd_client.app, FastAPI)
    odd_client.app.openapi.cache_clear()  # type: ignore[attr-defined]  # main puts a cached function there
    assert json.dumps(resolved(odd_client.app.openapi())) == json.dumps(odd_document)


def test_it_is_served_as_it_is(
    client: TestClient, document: Document, odd_client: TestClient, odd_document: Document
) -> None:
    """By each application, on each database."""
    assert resolved(client.get("/openapi.json").json()) == document
    assert resolved(odd_client.get("/openapi.json").json()) == odd_document


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("br, gzip;q=0.8", "gzip"), ("gzip", "gzip"), ("gzip;q=0, br", None), ("identity", None)]
)
def test_it_is_compressed_for_who_accepts_it(
    client: TestClient, document: Document, accepted: str, encoding: str | None
) -> None:
    """The document of a hundred entities is megabytes, and has few words."""
    response = client.get("/openapi.json", headers={"Accept-Encoding": accepted})
    assert response.headers.get("content-encoding") == encoding
    assert "Accept-Encoding" in response.headers["vary"]
    assert resolved(response.json()) == document


def test_every_filter_is_documented_with_its_type(odd_document: Document) -> None:
    """The type of the column, an array of it, text or a boolean, each with a description of its own."""
    for registration in odd_registry.registrations.values():
        plan = registration.resource
        listed = odd_document["paths"][f"/api/v1/{plan.path}"]["get"]["parameters"]
        documented = {parameter["name"]: parameter for parameter in listed}
        public = odd_document["components"]["schemas"][f"{plan.name}Public"]["properties"]
        assert set(documented) >= set(plan.parameters.filters)
        for name, entry in plan.parameters.filters.items():
            parameter, kind = documented[name], bare(public[entry.column.name], odd_document)
            assert (parameter["in"], parameter["required"]) == ("query", False)
            assert parameter["description"].startswith(f"Only rows whose `{entry.column.name}` ")
            if entry.operator.name == "isnull":
                kind = {"type": "boolean"}
            elif kind.get("format") == "email":  # a part of an address is none
                kind = {"type": "string"}
            if entry.operator.name in ("in", "not_in", "between"):
                assert (parameter["style"], parameter["explode"]) == ("form", False)
                assert bare(parameter["schema"]["items"], odd_document) == kind
            else:
                assert bare(parameter["schema"], odd_document) == kind
    kinds = odd_document["components"]["schemas"]["EverythingPublic"]["properties"].values()
    assert all(kind in [bare(schema, odd_document) for schema in kinds] for kind in TYPES.values())


def test_no_secret_is_in_the_document(document: Document, odd_document: Document) -> None:
    """Neither its name nor its default."""
    for one, registry in ((document, product_registry), (odd_document, odd_registry)):
        secrets = {name for _, name, marks in columns(registry) if Mark.SECRET in marks}
        assert secrets
        written = json.dumps(one)
        assert [name for name in secrets if f'"{name}"' in written or f'"{name}__' in written] == []
        assert "hidden" not in written


def test_bodies_hold_what_a_client_may_set(odd_document: Document) -> None:
    """The key, the timestamps, the owner and read-only columns are in responses only.

    Create-only columns are in no change.
    """
    schemas = odd_document["components"]["schemas"]
    for registration, name, marks in columns(odd_registry):
        plan = registration.resource
        body, change, answer = (schemas[f"{plan.name}{kind}"] for kind in ("Create", "Update", "Public"))
        fixed = name in ("id", "created_at", "updated_at", plan.owner) or bool(marks & {Mark.READ_ONLY, Mark.SECRET})
        assert (name in body["properties"]) is not fixed
        assert (name in change["properties"]) is not (fixed or Mark.CREATE_ONLY in marks)
        assert (name in answer["properties"]) is (Mark.SECRET not in marks)
        assert (name in answer["required"]) is (Mark.SECRET not in marks)
        assert body["additionalProperties"] is change["additionalProperties"] is False
        assert "required" not in change


def test_every_error_is_documented_as_a_problem(document: Document) -> None:
    """Also those of changes. A creation documents `Location`."""
    for _, path, operation in operations(document):
        for status, answer in operation["responses"].items():
            if status >= "400":
                assert list(answer["content"]) == [PROBLEM_MEDIA_TYPE], (path, status)
                assert answer["content"][PROBLEM_MEDIA_TYPE]["schema"] == {"$ref": "#/components/schemas/Problem"}
        assert {"422", "503"} <= set(operation["responses"]) or "requestBody" not in operation
    item = document["paths"]["/api/v1/books/{id}"]
    assert set(item["patch"]["responses"]) >= PROBLEMS_OF_A_CHANGE | {"200"}
    assert "204" in item["delete"]["responses"]
    assert "Location" in document["paths"]["/api/v1/books"]["post"]["responses"]["201"]["headers"]


def test_only_what_needs_a_caller_asks_for_one(odd_document: Document) -> None:
    """Public reads show no lock in the documentation pages."""
    for registration in odd_registry.registrations.values():
        item = odd_document["paths"][f"/api/v1/{registration.resource.path}"]
        assert ("security" in item["get"]) is not registration.resource.read.anyone
        assert "security" in item["post"]


def test_an_export_is_documented_like_its_list(document: Document, odd_document: Document) -> None:
    """It has the parameters of the list except pages, and a format. Its response is a file in one of the formats."""
    for one in (document, odd_document):
        exports = {path: item["get"] for path, item in one["paths"].items() if path.endswith("/export")}
        assert exports
        for path, operation in exports.items():
            listed = {p["name"]: p for p in one["paths"][path.removesuffix("/export")]["get"]["parameters"]}
            taken = {p["name"]: p for p in operation["parameters"]}
            assert taken.pop("format")["schema"] == {"type": "string", "enum": ["csv", "ndjson"]}
            assert taken == {name: parameter for name, parameter in listed.items() if name not in PAGE_ONLY}
            file = operation["responses"]["200"]
            assert file["content"] == {kind: {"schema": {"type": "string"}} for kind in FILES}
            assert "Content-Disposition" in file["headers"]
            assert set(operation["responses"]) - {"403"} == {"200", "401", "422", "503"}


def test_an_import_is_documented_with_both_types(document: Document, odd_document: Document) -> None:
    """Its media types, the number of stored rows, and its errors."""
    for one in (document, odd_document):
        imports = [item["post"] for path, item in one["paths"].items() if path.endswith("/import")]
        assert imports
        for operation in imports:
            assert operation["requestBody"]["required"] is True
            assert set(operation["requestBody"]["content"]) == FILES
            names = [p["name"] for p in operation["parameters"]]
            has_key = "on" in names
            assert names == ["on"] * has_key + ["Idempotency-Key"]
            answer = operation["responses"]["201"]
            assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Created"}
            assert "Idempotent-Replayed" in answer["headers"]
            statuses = {"201", "429", *PROBLEMS_OF_A_CHANGE} - {"404"}
            assert set(operation["responses"]) == (statuses | {"200"} if has_key else statuses)
