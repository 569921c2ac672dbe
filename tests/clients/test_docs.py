"""`/` leads to `/docs`, which names operations as a person does and shows examples that look like data."""

from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator
from starlette.testclient import TestClient

from rowhouse.app.examples import BY_FORMAT, fits
from rowhouse.core.settings import Settings
from rowhouse.entities.model import with_article
from tests.contract.entity_client import RunningApp
from tests.openapi_documents import SQLITE, Document, Factory, document_of
from tests.sample_entities.application import create_app


@pytest.fixture(scope="module")
def document(factory: Factory) -> Document:
    """Each document."""
    return document_of(factory)


def test_the_root_leads_to_the_docs() -> None:
    """Under a prefix too; other methods and paths are problems."""
    app = create_app(Settings(database_url=SQLITE))
    for root_path, prefix in (("", ""), ("/shop", "/shop")):
        client = TestClient(app, root_path=root_path, follow_redirects=False)
        for answer in (client.get("/"), client.head("/")):
            assert (answer.status_code, answer.headers["location"]) == (307, f"{prefix}/docs")
        for answer in (client.post("/"), client.get("/nowhere")):
            assert answer.status_code == 404
            assert answer.headers["content-type"] == "application/problem+json"


def test_a_project_may_have_a_root_of_its_own() -> None:
    """A route or a mount that is added to the application wins."""
    app = create_app(Settings(database_url=SQLITE))

    @app.get("/")
    def home() -> str:
        return "home"

    assert TestClient(app).get("/").json() == "home"


@pytest.mark.parametrize(
    ("noun", "expected"),
    [
        ("book", "a book"), ("appointment", "an appointment"), ("user", "a user"), ("unit", "a unit"),
        ("order line", "an order line"), ("hour", "an hour"), ("one-way ticket", "a one-way ticket"), ("umbrella", "an umbrella"),
    ],
)  # fmt: skip
def test_a_noun_has_its_article(noun: str, expected: str) -> None:
    """By its sound."""
    assert with_article(noun) == expected


def test_put_and_patch_are_distinguished(document: Document) -> None:
    """In summary and description."""
    both = [item for item in document["paths"].values() if {"put", "patch"} <= item.keys()]
    assert both
    for item in both:
        for member in ("summary", "description"):
            assert item["put"][member] != item["patch"][member]


def test_who_has_no_account_finds_the_login_first(document: Document) -> None:
    """`auth` is the first tag, and the others are sorted."""
    first, *others = [tag["name"] for tag in document["tags"]]
    assert first == "auth"
    assert others == sorted(others)


def members(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every member with an example, with its schema."""
    for component, schema in document["components"]["schemas"].items():
        for name, member in schema.get("properties", {}).items():
            if "examples" in member:
                yield f"{component}.{name}", member


def test_every_example_fits_its_schema(document: Document) -> None:
    """By an independent validator."""
    shown = dict(members(document))
    assert len(shown) > 50
    # One validator for all: each takes the time of reading the whole document.
    every = Draft202012Validator({"properties": shown, "components": document["components"]})
    for position in range(max(len(schema["examples"]) for schema in shown.values())):
        values = {name: s["examples"][position] for name, s in shown.items() if len(s["examples"]) > position}
        assert [(error.instance_path, error.message) for error in every.iter_errors(values)] == []
    for component in ("Problem", "Fault"):
        schema = {**document["components"]["schemas"][component], "components": document["components"]}
        assert Draft202012Validator(schema).is_valid(schema["examples"][0])


def test_examples_look_like_data(document: Document) -> None:
    """No bound of a type stands for a number, and an interval ends after its start."""
    shown = {name: schema["examples"][0] for name, schema in members(document)}
    assert {value for name, value in shown.items() if name.endswith("_id")} <= {1, BY_FORMAT["uuid"]}
    assert not [name for name, value in shown.items() if isinstance(value, int) and abs(value) >= 2**31 - 1]
    for start, end in (("start_time", "end_time"), ("start", "end")):
        for name in [name for name in shown if name.endswith(f".{start}")]:
            ended = name.removesuffix(start) + end
            assert ended not in shown or shown[ended] > shown[name]


@pytest.mark.parametrize("path", ["books", "categories", "reviews", "vehicles"])
def test_the_form_works_as_it_is_shown(running_app: RunningApp, path: str) -> None:
    """The body of the examples is valid. At most a row that it refers to is missing."""
    client = running_app.client
    document = client.get("/openapi.json").json()
    create = document["paths"].get(f"/api/v1/{path}", {}).get("post")
    if create is None:  # the other application has other entities
        return
    reference = create["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    shown = document["components"]["schemas"][reference.rpartition("/")[2]]["properties"]
    body = {name: example_of(schema, document) for name, schema in shown.items()}
    answer = client.post(f"/api/v1/{path}", json=body, headers=running_app.admin)
    assert answer.status_code == 201 or answer.json()["code"] == "reference_not_found", (body, answer.text)


def example_of(schema: dict[str, Any], document: Document) -> Any:
    """What the page shows for a member: its example, its default, or the first of its values."""
    if "examples" in schema:
        return schema["examples"][0]
    if "default" in schema:
        return schema["default"]
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]["enum"][0]


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        (5, {"type": "integer", "exclusiveMaximum": 5}, False),
        (5, {"type": "integer", "exclusiveMinimum": 5}, False),
        (2.5, {"type": "integer"}, False),
        (3, {"type": "number", "multipleOf": 0.01}, True),
        (3, {"type": "number", "multipleOf": 2}, False),
        ("ab", {"type": "string", "pattern": "^a$"}, False),
        ("a\n", {"type": "string", "pattern": "^a$"}, False),
        ("ab", {"type": "string", "maxLength": 1}, False),
    ],
)
def test_what_does_not_fit_is_not_shown(value: Any, schema: dict[str, Any], expected: bool) -> None:  # noqa: FBT001  cases
    """Each bound counts."""
    assert fits(value, schema) is expected
