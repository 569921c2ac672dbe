"""Columns and relations called like parameters: those of statements, and those of lists, exports and aggregates."""

import json
from collections import Counter
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlmodel import Field
from starlette.testclient import TestClient

import rowhouse
from rowhouse import ADMIN, ANYONE, Entity, Registry, include_accounts
from rowhouse.core.openapi import resolved
from rowhouse.core.settings import Settings
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, sign_in, sign_up
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.metadata import new_metadata

API = "/api/v1"
metadata = new_metadata()
# SQLAlchemy names the parameters of a statement like this: a column, a function or `param`, and a number.
NUMBERED = ("player_1", "param_1", "param_2", "id_1", "coalesce_1", "matches_1", "anon_1", "max_1")
OPERATORS = {"": "1", "__gte": "1", "__in": "1,2", "__between": "1,2", "__isnull": "false"}


class Base(Entity, registry=sa.orm.registry(metadata=metadata)):
    """`Entity` in a metadata of its own."""


class Match(Base, table=True):
    """A match of one player, with the points of each set."""

    __tablename__ = "matches"
    player: int = Field(foreign_key="users.id", index=True)
    player_1: int = 0
    param_1: int = 0
    param_2: int = 0
    id_1: int = 0
    coalesce_1: int = 0
    matches_1: int = 0
    anon_1: int = 0
    max_1: int = 0


class Size(Base, table=True):
    """Called like a parameter of lists."""

    name: str = Field(max_length=20)


class Format(Base, table=True):
    """Called like a parameter of exports."""

    name: str = Field(max_length=20)


class Count(Base, table=True):
    """Called like a parameter of aggregates."""

    name: str = Field(max_length=20)


class Shirt(Base, table=True):
    """Refers to all three."""

    name: str = Field(max_length=20)
    size_id: int = Field(foreign_key="sizes.id", index=True)
    format_id: int | None = Field(default=None, foreign_key="formats.id", index=True)
    count_id: int | None = Field(default=None, foreign_key="counts.id", index=True)


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """Both examples in one application, signed in as administrator."""
    registry = Registry(API)
    include_accounts(registry)
    registry.register(Match, owner="player", soft_delete=True, history=True)
    for model in (Size, Format, Count, Shirt):
        registry.register(model, read=ANYONE, write=ADMIN)
    url = databases.prepared(backend, "taken_names", metadata.create_all)
    settings = Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=SecretStr(ADMIN_PASSWORD), **QUIET)
    with QuickClient(rowhouse.create_app(registry, settings=settings, metadata=metadata, title="Names")) as client:
        client.headers.update(sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        yield client


def test_a_column_called_like_a_parameter_of_the_statement(client: TestClient) -> None:
    """With a scope, whose parameters SQLAlchemy names: read, sorted, changed and deleted, one and many."""
    headers = sign_up(client, role="user")
    bodies = [dict.fromkeys(NUMBERED, number) for number in (1, 2)]
    first, second = client.post(f"{API}/matches/batch", json=bodies, headers=headers).json()
    for name in NUMBERED:
        for operator, value in OPERATORS.items():
            query = f"{name}{operator}={value}"
            expected = 1 if operator == "" else 2
            found = client.get(f"{API}/matches?{query}&sort=-{name}", headers=headers)
            assert (found.status_code, found.json()["total"]) == (200, expected), query
            counted = client.get(f"{API}/matches/aggregate?{query}", headers=headers)
            assert counted.json() == {"items": [{"count": expected}]}, query
        both = json.dumps([{name: 1}, {name: 2, "id__gte": 1}])
        assert client.get(f"{API}/matches", params={"any": both}, headers=headers).json()["total"] == 2
        page = client.get(f"{API}/matches?sort={name}&size=1", headers=headers).json()
        rest = client.get(f"{API}/matches?cursor={page['next_cursor']}", headers=headers).json()
        assert [row["id"] for row in (*page["items"], *rest["items"])] == [first["id"], second["id"]]
    changes = dict.fromkeys(NUMBERED, 7)
    assert client.patch(f"{API}/matches/{first['id']}", json=changes, headers=headers).json().items() >= changes.items()
    many = client.patch(f"{API}/matches/batch", json=[{"id": second["id"], **changes}], headers=headers)
    assert many.json()[0].items() >= changes.items()
    assert client.delete(f"{API}/matches/{first['id']}", headers=headers).status_code == 204
    assert client.get(f"{API}/matches?player_1=7", headers=headers).json()["total"] == 1


@pytest.mark.parametrize("path", ["", "/export", "/aggregate"])
def test_a_relation_called_like_a_parameter_has_another_name_in_openapi(client: TestClient, path: str) -> None:
    """A name that occurs twice makes the document invalid. The filters keep their names."""
    size = client.post(f"{API}/sizes", json={"name": f"XL{path}"}).json()
    client.post(f"{API}/shirts", json={"name": "shirt", "size_id": size["id"]}).raise_for_status()
    document = resolved(client.get("/openapi.json").json())
    parameters = document["paths"][f"{API}/shirts{path}"]["get"]["parameters"]
    names = Counter(parameter["name"] for parameter in parameters)
    assert names.most_common(1)[0][1] == 1, names
    assert {"size__", "format__", "count__"} <= names.keys()
    found = client.get(f"{API}/shirts{path}?size__name=XL{path}")
    assert (found.status_code, "1" in found.text) == (200, True)
