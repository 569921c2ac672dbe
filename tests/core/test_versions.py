"""Registries under other prefixes, and several registries in one application."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Annotated, Any, ClassVar

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from sqlmodel import col, select
from starlette.testclient import TestClient

from rowhouse.auth.accounts import include_accounts
from rowhouse.auth.models import ADMIN
from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.dependencies import crud_of
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.http import schema_names as naming
from rowhouse.http.dependencies import CallerDep, SessionDep
from rowhouse.http.routing import Router
from rowhouse.http.schema_names import add_part, suffix_of
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD, QUIET, unique
from tests.core.conftest import build
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.shop.models import Book, Category

Headers = dict[str, str]
V1, V2 = "/api/v1/categories", "/api/v2/categories"
ADMINISTRATOR: dict[str, Any] = {"admin_email": ADMIN_EMAIL, "admin_password": ADMIN_PASSWORD, **QUIET}


class NewCategoryCRUD(CRUDBase[Category]):
    """The second version's own rule: names are in capitals."""

    def prepare(self, values: Row, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Write them so."""
        values["name"] = values["name"].upper()


class NewBookCRUD(CRUDBase[Book]):
    """The second version's own member: the title in capitals beside the title. The stock is a hundred more."""

    computed_columns: ClassVar = {"stock": col(Book.stock) + 100}
    extra_fields: ClassVar = {"loud": str}

    def load_extra_fields(self, rows: Sequence[Row], *, unit: UnitOfWork) -> None:
        """Fill it."""
        for row in rows:
            row["loud"] = row["title"].upper()


by_hand = Router(prefix="/by-hand", tags=["by hand"], description="By hand.")


@by_hand.get("/rule")
def which_rule(categories: Annotated[CRUDBase[Category], crud_of(Category)]) -> str:
    """The name of the class that the registry of this route goes through."""
    return type(categories).__name__


@by_hand.delete("/categories/{name}", status_code=204)
def remove_category(name: str, _caller: CallerDep, session: SessionDep) -> None:
    """Delete through the session."""
    session.delete(session.exec(select(Category).where(col(Category.name) == name)).one())


def registries() -> list[Registry]:
    """Two versions of one API: the second keeps no deleted rows itself, and does not write books."""
    first, second = Registry("/api/v1"), Registry("/api/v2")
    for registry in (first, second):
        include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=("list", "get"))
        registry.include(by_hand)
    first.register(Category, read=ANYONE, write=ADMIN, soft_delete=True, history=True)
    first.register(Book, read=ANYONE, write=ADMIN)
    second.register(Category, read=ANYONE, write=ADMIN, crud=NewCategoryCRUD, search=("name",))
    second.register(Book, read=ANYONE, write=ADMIN, crud=NewBookCRUD, operations=("list", "get"))
    return [first, second]


@pytest.fixture(scope="module")
def client(shop_url: str) -> Iterator[TestClient]:
    """A client of both versions."""
    with QuickClient(create_app(Settings(database_url=shop_url, **ADMINISTRATOR), registries())) as client:
        yield client


def sign_in(client: TestClient, prefix: str = "/api/v2") -> Headers:
    """The administrator's headers."""
    form = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    answer = client.post(f"{prefix}/auth/login", data=form)
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_each_version_has_its_words(client: TestClient) -> None:
    """Members, filters and operations are its own; the rows are the same, and so are accounts."""
    headers = sign_in(client)
    name = unique("category")
    made = client.post(V2, json={"name": name}, headers=headers)
    assert made.headers["location"] == f"{V2}/{made.json()['id']}"
    assert made.json()["name"] == name.upper()
    assert client.get(f"{V1}/{made.json()['id']}").json() == made.json()
    assert client.post(V1, json={"name": f"{name} too"}, headers=headers).json()["name"] == f"{name} too"
    assert client.get(V2, params={"search": name}).json()["total"] == 2
    assert client.get(V1, params={"search": name}).status_code == 422
    book = {"title": name, "author": "A", "price": 1, "stock": 1, "category_id": made.json()["id"]}
    assert client.post("/api/v2/books", json=book, headers=headers).status_code == 405
    path = client.post("/api/v1/books", json=book, headers=headers).headers["location"]
    assert "loud" not in client.get(path).json()
    assert client.get(path.replace("v1", "v2")).json()["loud"] == name.upper()
    assert client.get("/api/v1/by-hand/rule").json() == "CRUDBase"
    assert client.get("/api/v2/by-hand/rule").json() == "NewCategoryCRUD"


def test_a_cursor_belongs_to_the_list_of_its_version(client: TestClient) -> None:
    """The other one may have other members and rules."""
    headers = sign_in(client)
    for _ in range(2):
        assert client.post(V1, json={"name": unique("category")}, headers=headers).status_code == 201
    cursor = client.get(V1, params={"size": 1}).json()["next_cursor"]
    assert client.get(V1, params={"cursor": cursor}).status_code == 200
    told = client.get(V2, params={"cursor": cursor})
    assert (told.status_code, told.json()["errors"][0]["loc"]) == (422, ["query", "cursor"])


def test_an_export_has_the_members_of_its_version(client: TestClient) -> None:
    """Computed columns in each format, further members in NDJSON alone: CSV has columns only."""
    headers, name = sign_in(client), unique("title")
    category = client.post(V1, json={"name": unique("category")}, headers=headers).json()["id"]
    book = {"title": name, "author": "Ann", "price": 1, "stock": 1, "category_id": category}
    assert client.post("/api/v1/books", json=book, headers=headers).status_code == 201
    export, mine = "/api/v2/books/export", {"title": name, "fields": "stock,loud"}
    row = client.get(export, params={**mine, "format": "ndjson"}).json()
    assert row == {"stock": 101, "loud": name.upper()}
    assert client.get(export, params={**mine, "format": "csv"}).text.split() == ["stock", "101"]
    refused = client.get(export, params={"fields": "loud", "format": "csv"})
    assert (refused.status_code, refused.json()["errors"][0]["msg"]) == (422, "CSV has none of these columns")


@pytest.mark.parametrize("prefix", ["/api/v1", "/api/v2"])
@pytest.mark.parametrize("by_session", [True, False])
def test_history_and_soft_delete_of_one_version_hold_in_all(
    client: TestClient, prefix: str, *, by_session: bool
) -> None:
    """A row is one row.

    No gap in its history, and it comes back whichever version deleted it, in code or by request.
    """
    headers, name = sign_in(client), unique("category")
    made = client.post(f"{prefix}/categories", json={"name": name}, headers=headers).json()
    key, name = made["id"], made["name"]
    gone = f"{prefix}/by-hand/categories/{name}" if by_session else f"{prefix}/categories/{key}"
    assert client.delete(gone, headers=headers).status_code == 204
    history = client.get(f"{V1}/{key}/history", headers=headers).json()["items"]
    assert [entry["action"] for entry in history] == ["create", "delete"]
    assert client.post(f"{V2}/{key}/restore", headers=headers).status_code == 404
    assert client.get(f"{V2}/{key}/history", headers=headers).status_code == 404
    assert client.post(f"{V1}/{key}/restore", headers=headers).json()["name"] == name


def test_another_application_has_its_own_registration_of_the_classes(shop_url: str) -> None:
    """In the same process: nothing of the registration stays on the class."""
    plain = Registry("/api/v1")
    include_accounts(plain, roles=("driver",), sign_up=("user", "driver"), operations=())
    plain.include(by_hand)
    plain.register(Category, read=ANYONE, write=ADMIN)
    settings = Settings(database_url=shop_url, **ADMINISTRATOR)
    keeping = create_app(settings, registries())
    with QuickClient(create_app(settings, plain)) as client, QuickClient(keeping) as other:
        headers, name = sign_in(client, "/api/v1"), unique("category")
        key = client.post(V1, json={"name": name}, headers=headers).json()["id"]
        assert client.delete(f"/api/v1/by-hand/categories/{name}", headers=headers).status_code == 204
        assert other.post(f"{V1}/{key}/restore", headers=headers).status_code == 404


def test_one_document_holds_both(client: TestClient) -> None:
    """The first version's names are as ever.

    The second's are apart where they mean something else, and no reference dangles.
    """
    document = resolved(client.get("/openapi.json").json())
    operations = {
        (method, path): operation["operationId"]
        for path, item in document["paths"].items()
        for method, operation in item.items()
    }
    assert [name for name, number in Counter(operations.values()).items() if number > 1] == []
    assert (operations["get", V1], operations["get", V2]) == ("list_categories", "list_categories_v2")
    assert operations["post", "/api/v2/auth/login"] == "login_v2"
    schemas = document["components"]["schemas"]
    assert not [name for name in schemas if "__" in name and not name.startswith("Page_")]
    assert "title" not in schemas["BookPublicV2"]  # that of the first version would name a type
    assert "loud" in schemas["BookPublicV2"]["properties"]
    assert "loud" not in schemas["BookPublic"]["properties"]
    assert not schemas.keys() & {"UserPublicV2", "CategoryPublicV2", "CategoryCreateV2"}
    text = json.dumps(document)
    references = {part.partition('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert references <= schemas.keys()
    answers = {
        path: item["get"]["responses"]["200"] for path, item in document["paths"].items() if path.endswith("s/{id}")
    }
    assert "BookPublicV2" in json.dumps(answers["/api/v2/books/{id}"])
    assert "BookPublicV2" not in json.dumps(answers["/api/v1/books/{id}"])
    (scheme,) = document["components"]["securitySchemes"].values()
    assert scheme["flows"]["password"]["tokenUrl"] == "/api/v1/auth/login"
    assert Counter(tag["name"] for tag in document["tags"])["categories"] == 1


def test_a_security_scheme_of_a_later_version_is_in_the_document() -> None:
    """Such as that of a hand-written route which only the second registry has."""
    document: dict[str, Any] = {"paths": {}, "components": {"securitySchemes": {"one": {"type": "http"}}}}
    later: dict[str, Any] = {"paths": {}, "components": {"securitySchemes": {"other": {"type": "apiKey"}}}}
    add_part(document, later, suffix="v2")
    assert document["components"]["securitySchemes"].keys() == {"one", "other"}


def test_routes_have_their_versions_names(client: TestClient) -> None:
    """For `url_path_for`, and for who names operations by their function."""
    app = client.app
    assert isinstance(app, FastAPI)
    assert app.url_path_for("get_category", id=1) == f"{V1}/1"
    assert app.url_path_for("get_category_v2", id=1) == f"{V2}/1"
    assert app.url_path_for("login_v2") == "/api/v2/auth/login"
    routes = [route for route in app.routes if isinstance(route, APIRoute)]
    assert {route.path for route in routes if route.name == "get_category_v2"} == {f"{V2}/{{id}}"}


@pytest.mark.parametrize("prefix", ["/api/v2", "/shop/api", "", "/v1.5"])
def test_a_registry_has_any_prefix(sqlite_url: str, prefix: str) -> None:
    """Everything that names a path follows it."""
    registry = Registry(prefix)
    registry.register(Category, read=ANYONE, write=ADMIN)
    include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
    app = build(sqlite_url, registry=registry, **ADMINISTRATOR)
    with QuickClient(app) as client:
        headers = sign_in(client, prefix)
        document = resolved(client.get("/openapi.json").json())
        (scheme,) = document["components"]["securitySchemes"].values()
        assert scheme["flows"]["password"]["tokenUrl"] == f"{prefix}/auth/login"
        assert document["paths"][f"{prefix}/categories"]["get"]["operationId"] == "list_categories"
        made = client.post(f"{prefix}/categories", json={"name": unique("category")}, headers=headers)
        assert made.headers["location"] == f"{prefix}/categories/{made.json()['id']}"
        body = {"email": f"{unique('user')}@example.com", "password": PASSWORD, "full_name": "Somebody"}
        assert client.post(f"{prefix}/users", json=body).headers["location"].startswith(f"{prefix}/users/")
        assert client.get("/health").status_code == 200
        assert client.get("/nowhere").status_code == 404


@pytest.mark.parametrize("prefix", ["/", "api", "/api/", "//api", "/api/{version}", "/api v1", "/.."])
def test_a_prefix_that_is_no_path_is_refused(prefix: str) -> None:
    """With a sentence that says how to write it."""
    with pytest.raises(RegistrationError, match=r"write the prefix as '/api/v1'.* or as '' for the root"):
        Registry(prefix)


def test_two_registries_of_one_prefix_are_refused(sqlite_url: str) -> None:
    """Neither would be whole."""
    with pytest.raises(RegistrationError, match="two registries have the same prefix"):
        create_app(Settings(database_url=sqlite_url, **QUIET), [Registry("/a"), Registry("/a")])


@pytest.mark.parametrize("path", ["health", "docs"])
def test_the_applications_own_paths_cannot_be_taken(sqlite_url: str, path: str) -> None:
    """By an entity at the root, or by a route that takes any path there."""
    registry = Registry("")
    registry.register(Category, read=ANYONE, write=ADMIN, path=path)
    with pytest.raises(ValueError, match=f"/{path} is the application's own"):
        build(sqlite_url, registry=registry)
    router = Router()
    router.get("/{page}")(read_page)
    with pytest.raises(ValueError, match="is the application's own"):
        build(sqlite_url, router, registry=Registry(""))


def read_page(page: str) -> str:
    """Any page."""
    return page


def test_two_operations_of_one_name_are_refused(sqlite_url: str) -> None:
    """A generated client would have one function for both; a name that the suffix makes counts too."""
    first, second = Router(prefix="/first"), Router(prefix="/second")
    for router in (first, second):
        router.get("/{page}")(read_page)
    with pytest.raises(ValueError, match=r"GET /api/v1/first/\{page\} and GET /api/v1/second/\{page\} are both"):
        build(sqlite_url, first, second)
    one, other = Registry("/api/v1"), Registry("/api/v2")
    one.include(first)
    first.get("/taken", operation_id="read_page_v2")(read_page)
    other.include(second)
    with pytest.raises(ValueError, match="the operation read_page_v2"):
        create_app(Settings(database_url=sqlite_url, **QUIET), [one, other])
    hidden = Router(prefix="/hidden")
    hidden.get("/{page}", include_in_schema=False)(read_page)
    assert build(sqlite_url, second, hidden).openapi()["paths"].keys() == {"/api/v1/second/{page}"}


def test_a_hand_written_route_of_another_registry_wins_too(sqlite_url: str) -> None:
    """Where one registry is below the prefix of the other."""
    inner, outer, router = Registry("/api/v1"), Registry("/api"), Router()
    inner.register(Category, read=ANYONE, write=ADMIN)
    outer.include(router)

    @router.get("/v1/categories")
    def my_categories() -> str:
        return "mine"

    app = create_app(Settings(database_url=sqlite_url, **QUIET), [inner, outer])
    with QuickClient(app) as client:
        assert client.get("/api/v1/categories").json() == "mine"
        assert resolved(client.get("/openapi.json").json())["paths"][V1]["get"]["operationId"] == "my_categories"


def test_a_suffix_is_the_shortest_that_no_other_prefix_has() -> None:
    """Letters and digits, fit for the name of a function."""
    assert suffix_of("/api/v2", ["/api/v1"]) == "v2"
    assert suffix_of("/b/v2", ["/a/v2", "/api/v1"]) == "b_v2"
    assert suffix_of("/v2", ["/a/v2"]) == "v2"
    assert suffix_of("/partner-api", ["/api/v1"]) == "api"
    assert suffix_of("", ["/api/v1"]) == "root"


def test_a_name_that_is_taken_gets_its_suffix_again() -> None:
    """And a route that has a name of its own keeps it."""
    offered, taken = {"Book": {"a": 1}, "BookV2": {}}, {"Book": {"a": 2}}
    assert naming._new_names(taken, offered, "V2") == {"Book": "BookV2V2"}
    route: Any = SimpleNamespace(name="own", unique_id="list_books", operation_id=None)
    naming._rename(route, "list_books_v2")
    assert (route.name, route.operation_id) == ("own", "list_books_v2")
