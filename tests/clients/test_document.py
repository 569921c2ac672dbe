"""The OpenAPI document has a description for everything, no duplicates and no dangling references."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.clients.probes import OF_STATUS, Operation, operations
from tests.openapi_documents import POSTGRESQL, Document, Factory, document_of, resolved_document


@pytest.fixture(scope="module")
def document(factory: Factory) -> Document:
    """Each document."""
    return resolved_document(factory)


def parameters(document: Document) -> Iterator[tuple[Operation, dict[str, Any]]]:
    """Every parameter of every operation."""
    for operation in operations(document):
        for parameter in operation.described.get("parameters", ()):
            yield operation, parameter


def test_both_databases_have_one_document(factory: Factory) -> None:
    """To the order of its members: what is generated for one fits the other."""
    assert json.dumps(document_of(factory)) == json.dumps(document_of(factory, POSTGRESQL))


def test_the_api_says_what_it_is(document: Document) -> None:
    """And under which licence; every tag has its words, and no tag is unused."""
    assert {"title", "version", "description", "license"} <= set(document["info"])
    assert document["info"]["license"]["identifier"] == "Apache-2.0"
    used = {tag for operation in operations(document) for tag in operation.described["tags"]}
    told = {tag["name"]: tag["description"] for tag in document["tags"]}
    assert set(told) == used
    assert all(told.values())


def test_every_operation_has_its_words(document: Document) -> None:
    """A summary in the way of a sentence, a description, and one tag, below which a generator files it."""
    for operation in operations(document):
        summary = operation.described["summary"].replace("PATCH", "patch")
        assert summary == summary.capitalize(), operation.name
        assert operation.described["description"], operation.name
        assert len(operation.described["tags"]) == 1, operation.name
        assert all(answer["description"] for answer in operation.described["responses"].values())


def test_every_component_is_used_and_there_once(factory: Factory) -> None:
    """A generator writes a type for each, after its name. Two of one title would fight over another name."""
    document = document_of(factory)
    written = json.dumps(document)
    for kind in ("schemas", "headers", "parameters", "responses", "requestBodies"):
        unused = [n for n in document["components"][kind] if f'"#/components/{kind}/{n}"' not in written]
        assert unused == []
    schemas = document["components"]["schemas"]
    titles = Counter(schema.get("title", name) for name, schema in schemas.items())
    assert [title for title, number in titles.items() if number > 1] == []
    assert [name for name, schema in schemas.items() if schema.get("title") == name] == []


def test_an_entity_repeats_little(factory: Factory) -> None:
    """Errors are components named by their status, and the files of imports are one. Generated responses have no title."""
    document, titled = document_of(factory), set()
    for operation in operations(document):
        for status, answer in operation.described["responses"].items():
            assert status < "400" or answer["$ref"].startswith(f"#/components/responses/{status}"), operation.name
            titled |= {operation.name for one in answer.get("content", {}).values() if "title" in one["schema"]}
    assert titled <= {"read_latest_diary"}  # FastAPI writes hand-written ones
    imports = [o.described["requestBody"] for o in operations(document) if o.name.startswith("import_")]
    assert imports
    assert all(body == {"$ref": "#/components/requestBodies/File"} for body in imports)


def test_what_belongs_to_a_status_is_with_it(document: Document) -> None:
    """And the request's id is with every answer."""
    for operation in operations(document):
        for status, answer in operation.described["responses"].items():
            wanted = {"X-Request-ID", *([OF_STATUS[status]] if status in OF_STATUS else [])}
            assert wanted <= set(answer["headers"]), (operation.name, status)


def test_no_parameter_has_a_default(document: Document) -> None:
    """Generated clients send it: `page=1` beside a cursor is refused. What is left out is said in words."""
    listed = [(o.name, p["name"]) for o, p in parameters(document) if "default" in p["schema"]]
    assert listed == []
    sizes = [p["description"] for _, p in parameters(document) if p["name"] == "size" and "page" in p["description"]]
    assert sizes
    assert all("50 if left out" in description for description in sizes)


def test_every_list_is_separated_by_commas(document: Document) -> None:
    """A parameter is given once (docs/contract.md §1), and the document says so to generators."""
    for operation, parameter in parameters(document):
        if parameter["schema"].get("type") == "array":
            assert (parameter["style"], parameter["explode"]) == ("form", False), (operation.name, parameter["name"])


def test_a_value_has_one_type_and_a_name(document: Document) -> None:
    """A parameter refers to the enum of the member, and the words of `sort` have names, for a minus sign is none."""
    named = [schema["enum"] for schema in document["components"]["schemas"].values() if "enum" in schema]
    for operation, parameter in parameters(document):
        schema = parameter["schema"].get("items", parameter["schema"])
        assert schema.get("enum") not in named, (operation.name, parameter["name"])
        if parameter["name"] == "sort" and "enum" in schema:
            names = schema["x-enum-varnames"]
            assert len(set(names)) == len(schema["enum"])
            assert all(name.isidentifier() for name in names)


def test_a_partial_row_has_the_types_of_a_whole_one(document: Document) -> None:
    """Member by member; only related rows come on top. The examples are with the whole row."""
    schemas = document["components"]["schemas"]
    partial = {name: schema for name, schema in schemas.items() if name.endswith("Partial")}
    assert partial
    for name, schema in partial.items():
        whole = schemas[f"{name.removesuffix('Partial')}Public"]["properties"]
        assert {member: schema["properties"][member] for member in whole} == without_examples(whole), name


def without_examples(properties: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The members without their examples."""
    return {name: {word: part for word, part in one.items() if word != "examples"} for name, one in properties.items()}


def test_who_may_call_is_said_of_each(document: Document) -> None:
    """The document's own word is for operations that read a token only if it is sent; some never do."""
    (scheme,) = document["components"]["securitySchemes"]
    assert document["security"] == [{}, {scheme: []}]
    spoken = {o.name: o.described["security"] for o in operations(document) if "security" in o.described}
    assert {name for name, security in spoken.items() if security == []} >= {"login", "refresh", "logout"}
    assert spoken["read_me"] == [{scheme: []}]
    assert "create_user" not in spoken
