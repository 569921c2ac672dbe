"""The relations between entities, and their names in `expand`."""

from collections.abc import Iterator

import pytest
from sqlmodel import SQLModel
from starlette.testclient import TestClient

from rowhouse.registration.registry import Registration, Registry
from rowhouse.registration.relations import relations_of
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in, unique
from tests.databases import Databases
from tests.sample_entities.odd.registry import registry as odd
from tests.sample_entities.odd.shapes import Branch, Graft, Station
from tests.sample_entities.opened import open_odd
from tests.sample_entities.shop.registry import registry as shop

Path = tuple[str, str, str, bool]


def found(registry: Registry, model: type[SQLModel]) -> dict[str, Path]:
    """Return the relations of an entity: local column, target's path, remote column, whether they are many."""
    lines = registry.registrations
    readable = {path for path, line in lines.items() if "list" in line.operations}
    related = relations_of([line.resource for line in lines.values()], readable=readable)
    path = next(path for path, line in lines.items() if line.resource.model is model)
    return {n: (r.local, r.target.path, r.remote, r.many) for n, r in related[path].items()}


def test_a_reference_is_called_by_its_column_and_the_way_back_by_the_plural() -> None:
    names = {path: set(found(shop, line.resource.model)) for path, line in shop.registrations.items()}
    assert names["books"] == {"category", "reviews"}
    assert names["categories"] == {"books"}
    assert names["bookings"] == {"charge_point", "vehicle"}


def test_a_table_that_refers_to_itself_has_a_parent_and_children() -> None:
    relations = found(odd, Branch)
    assert relations["parent"] == ("parent_id", "branches", "id", False)
    assert relations["branches"] == ("id", "branches", "parent_id", True)


def test_two_references_to_one_table_have_different_names() -> None:
    relations = found(odd, Branch)
    assert relations["grafts_by_scion"] == ("id", "grafts", "scion_id", True)
    assert relations["grafts_by_stock"] == ("id", "grafts", "stock_id", True)
    assert "grafts" not in relations


def test_a_column_is_named_after_the_column_that_it_refers_to() -> None:
    """`next_code` refers to `code`."""
    assert found(odd, Station) == {
        "next": ("next_code", "stations", "code", False),
        "stations": ("code", "stations", "next_code", True),
    }


def test_an_entity_without_a_list_is_not_embedded() -> None:
    lines = shop.registrations
    related = relations_of([line.resource for line in lines.values()], readable={"books"})
    to_books = {"categories": {"books"}, "reviews": {"book"}}
    assert {path: set(relations) for path, relations in related.items() if relations} == to_books


def test_a_name_that_a_column_has_is_left_out() -> None:
    """A graft has a column `stock` and a column `stock_id`. The other direction exists."""
    assert set(found(odd, Graft)) == {"scion"}
    assert "grafts_by_stock" in found(odd, Branch)


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """The odd application, signed in as administrator."""
    with open_odd(databases, backend) as client:
        client.headers.update(sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        yield client


def test_both_ways_of_a_tree_at_once(client: TestClient) -> None:
    root = client.post("/api/v1/branches", json={"name": unique()}).json()
    children = [
        client.post("/api/v1/branches", json={"name": unique(), "parent_id": root["id"]}).json() for _ in range(3)
    ]
    shown = client.get(f"/api/v1/branches/{root['id']}?expand=parent,branches").json()
    assert shown == {**root, "parent": None, "branches": children}
    shown = client.get(f"/api/v1/branches?parent_id={root['id']}&expand=parent,branches").json()["items"]
    assert shown == [{**child, "parent": root, "branches": []} for child in children]


def test_a_reference_by_another_column_than_the_key(client: TestClient) -> None:
    last = client.post("/api/v1/stations", json={"code": unique("s")}).json()
    first = client.post("/api/v1/stations", json={"code": unique("s"), "next_code": last["code"]}).json()
    shown = client.get(f"/api/v1/stations/{last['id']}?expand=stations").json()
    assert shown == {**last, "stations": [first]}


EVERY_ENTITY = [*shop.registrations.values(), *odd.registrations.values()]


@pytest.mark.parametrize("registration", EVERY_ENTITY, ids=lambda registration: str(registration.resource.path))
def test_relations_change_nothing_of_a_list_but_expand(registration: Registration) -> None:
    """Two applications that share a registration share its parameters, as far as their relations are equal."""
    parameters = registration.resource.parameters
    alone, related = parameters.with_relations(()), parameters.with_relations(("kin", "kind"))
    described = {parameter["name"]: parameter for parameter in related.openapi}
    assert described.pop("expand")["schema"]["items"]["enum"] == ["kin", "kind"]
    assert described == {parameter["name"]: parameter for parameter in alone.openapi}
    assert parameters.with_relations(()) is alone is not related
    assert parameters.filters is alone.filters is related.filters
