"""A new filter operator is one entry in `OPERATORS`.

The columns of its types then have it, and OpenAPI describes it.
"""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from sqlmodel import Field
from starlette.testclient import TestClient

from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.db.sql_functions import fold_with
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.query.operators import OPERATORS, ListOperator
from rowhouse.registration.registry import Registry
from rowhouse.schemas.field_types import Filtering
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app

metadata = sa.MetaData(naming_convention=NAMING_CONVENTION)
fold_with(metadata)
LEVELS = "/api/v1/levels"
OUTSIDE = ListOperator(
    "outside",
    Filtering.ORDER,
    "is less than the first of these two or greater than the second",
    lambda column, values: ~column.between(*values),
    min_length=2,
    max_length=2,
)


class LevelRecord(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """`Record` in a metadata of its own."""


class Level(LevelRecord, table=True):
    """An entity with an ordered column and an unordered one."""

    height: int = Field(index=False)
    is_open: bool = Field(default=True, index=False)


@pytest.fixture
def client(backend: str, databases: Databases, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """An application with the operator, open to anyone."""
    monkeypatch.setattr("rowhouse.query.operators.OPERATORS", (*OPERATORS, OUTSIDE))
    registry = Registry()
    registry.register(Level, read=ANYONE, write=ANYONE)
    url = databases.prepared(backend, "operators", metadata.create_all)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, metadata)) as made:
        yield made


def test_a_new_operator_is_one_entry(client: TestClient) -> None:
    """It filters, validates its values, and is in OpenAPI for ordered columns."""
    assert client.post(f"{LEVELS}/batch", json=[{"height": height} for height in (1, 5, 9)]).status_code == 201
    found = client.get(LEVELS, params={"height__outside": "2,8", "sort": "height"}).json()
    assert [row["height"] for row in found["items"]] == [1, 9]
    assert client.get(LEVELS, params={"height__outside": "2"}).status_code == 422
    parameters = {
        p["name"]: p for p in resolved(client.get("/openapi.json").json())["paths"][LEVELS]["get"]["parameters"]
    }
    assert parameters["height__outside"]["description"] == (
        "Only rows whose `height` is less than the first of these two or greater than the second."
    )
    assert "is_open__outside" not in parameters
