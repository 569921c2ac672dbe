"""A class may state less than its column: the narrower limit holds, everywhere and on both databases."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from httpx2 import Response
from pydantic import AfterValidator, ConfigDict, StringConstraints
from pydantic import Field as Member
from sqlalchemy.dialects import postgresql
from sqlmodel import Field

from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.entities.model import IntegerKey, PortableTable, Record
from rowhouse.registration.registry import Registry
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()
NDJSON = {"Content-Type": "application/x-ndjson"}
Short = Annotated[str, Member(max_length=4, pattern="^[a-z]*$")]


class Bare(PortableTable, registry=sa.orm.registry(metadata=metadata)):
    """A table without timestamps."""


class Base(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """`Entity` in a metadata of its own."""


def _decimal(*, nullable: bool = False) -> Any:
    return sa.Column(sa.Numeric(6, 2), nullable=nullable)


class Cents(sa.types.TypeDecorator[float]):
    """A type of the project's own."""

    impl = sa.Integer
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """Return cents."""
        return None if value is None else round(value * 100)

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> Any:
        """Return the amount."""
        return None if value is None else value / 100


class Lower(sa.types.TypeDecorator[str]):
    """Text in lower case."""

    impl = sa.String(9)
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> Any:
        """Return the text in lower case."""
        return None if value is None else value.lower()


class Wide(Base, table=True):
    """Constraints that allow more than the columns hold, and less."""

    whole: int = Field(default=0, ge=0, le=10**12)
    small: int = Field(default=0, sa_type=sa.SmallInteger, gt=-100_000, lt=100_000)
    narrow: int = Field(default=0, gt=-3, lt=3)
    text: Annotated[str, StringConstraints(max_length=100)] = Field(
        default="", sa_column=sa.Column(sa.String(10), nullable=False)
    )
    exact: Decimal = Field(default=Decimal(0), sa_column=_decimal(), max_digits=10, decimal_places=4, ge=-(10**9))
    digits: Annotated[Decimal, Member(max_digits=8)] = Field(default=Decimal(0), sa_column=_decimal())
    places: Annotated[Decimal, Member(decimal_places=1)] = Field(default=Decimal(0), sa_column=_decimal())
    few: Annotated[Decimal, Member(max_digits=3, decimal_places=2)] = Field(default=Decimal(0), sa_column=_decimal())
    share: Decimal = Field(default=Decimal(0), max_digits=3, decimal_places=3)
    anything: Any = Field(default=1, sa_type=sa.JSON, nullable=False)
    short: Short | None = None
    bounded: Annotated[int, Member(ge=1), Member(le=5)] | None = None
    lower: str = Field(default="", sa_type=Lower)


class Priced(IntegerKey, Bare, table=True):
    """A type of the project's own that makes numbers."""

    cents: float = Field(sa_type=Cents)


class Country(Bare, table=True):
    """Clients name the keys, and the class cleans texts."""

    model_config = ConfigDict(str_strip_whitespace=True, str_max_length=10)  # type: ignore[assignment]  # as projects write it
    code: str = Field(primary_key=True)
    name: str = ""


class Judged(Bare, IntegerKey, table=True):
    """Defaults that pydantic validates."""

    model_config = ConfigDict(validate_default=True)  # type: ignore[assignment]  # as above
    name: str = Field(default="x", min_length=2)


class Raised(Bare, IntegerKey, table=True):
    """A default that its validator changes, which one field asks for."""

    size: Annotated[int, AfterValidator(lambda size: size + 1), Member(validate_default=True)] = 1


addresses = new_metadata()


class Network(PortableTable, registry=sa.orm.registry(metadata=addresses)):
    """A metadata of its own: SQLite has no such column."""


class Peer(IntegerKey, Network, table=True):
    """A class for PostgreSQL."""

    address: str = Field(sa_type=postgresql.INET)


@pytest.fixture(scope="module")
def client(backend: str, databases: Databases) -> Iterator[QuickClient]:
    """A client of the classes above."""
    url = databases.empty(backend)
    registry = Registry()
    registry.register(Wide, read=ANYONE, write=ANYONE)
    registry.register(Country, read=ANYONE, write=ANYONE)
    for model in (Priced, Judged, Raised):
        registry.register(model, read=ANYONE, write=ANYONE)
    engine = create_engine(Settings(database_url=url))
    metadata.create_all(engine)
    engine.dispose()
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, metadata)) as opened:
        yield opened


def every_write(client: QuickClient, values: dict[str, Any]) -> Iterator[Response]:
    """Send the values in every request that writes a row of `Wide`."""
    where, rows = client.post("/api/v1/wides", json={}).headers["Location"], "/api/v1/wides"
    key = int(where.rpartition("/")[2])
    yield client.post(rows, json=values)
    yield client.post(f"{rows}/batch", json=[values])
    yield client.post(f"{rows}/import", content=json.dumps(values), headers=NDJSON)
    yield client.patch(where, json=values)
    yield client.put(where, json=values)
    yield client.patch(f"{rows}/batch", json=[{"id": key, **values}])


@pytest.mark.parametrize(
    ("name", "fits", "too_much"),
    [
        ("whole", 2**31 - 1, 2**31),
        ("small", -(2**15), 2**15),
        ("narrow", 2, 3),
        ("text", "x" * 10, "x" * 11),
        ("exact", 9999.99, 10_000),
        ("exact", -0.01, 0.001),
        ("digits", 1234.5, 12_345),
        ("digits", 0.25, 0.125),
        ("places", 9999.9, 0.25),
        ("places", -9999, 10_000),
        ("few", 9.99, 10),
        ("share", -0.125, 1),
        ("share", 0, False),
        ("share", "0", -1),
        ("share", "0.125", 0.0625),
        ("anything", [None], None),
        ("short", "abcd", "abcde"),
        ("short", "", "A"),
        ("bounded", 5, 6),
        ("bounded", 1, 0),
        ("lower", "x" * 9, "x" * 10),
        ("lower", "a", "\0"),
    ],
)
def test_the_narrower_limit_holds(client: QuickClient, name: str, fits: Any, too_much: Any) -> None:
    """The same value is refused in every request, with its place, and the others are stored."""
    for answer in every_write(client, {name: fits}):
        assert answer.is_success, answer.text
    for answer in every_write(client, {name: too_much}):
        assert answer.status_code == 422
        assert name in answer.json()["errors"][0]["loc"]


def test_the_document_states_the_narrower_limit(client: QuickClient) -> None:
    """A client that is generated from it sends nothing that is refused."""
    members = resolved(client.get("/openapi.json").json())["components"]["schemas"]["WideCreate"]["properties"]
    assert (members["whole"]["minimum"], members["whole"]["maximum"]) == (0, 2**31 - 1)
    assert (members["small"]["minimum"], members["small"]["maximum"]) == (-(2**15), 2**15 - 1)
    assert members["text"]["maxLength"] == 10
    for name, largest, step in (("exact", 9999.99, 0.01), ("digits", 9999.99, 0.01), ("places", 9999.9, 0.1)):
        number = members[name]["anyOf"][0]
        assert (number["minimum"], number["maximum"], number["multipleOf"]) == (-largest, largest, step)
    assert members["short"]["anyOf"][0]["maxLength"] == 4
    number, text = members["share"]["anyOf"]
    assert (number["maximum"], text["pattern"]) == (0.999, r"^-?0(\.[0-9]{1,3})?$")


def test_a_put_cleans_texts_as_a_post_does(client: QuickClient) -> None:
    """The options of the class apply where clients name the keys, too."""
    assert client.put("/api/v1/countries/FR", json={"name": " France "}).json() == {"code": "FR", "name": "France"}
    assert client.put("/api/v1/countries/FR", json={"name": " Gaul "}).json()["name"] == "Gaul"
    assert client.put("/api/v1/countries/FR", json={"name": "x" * 11}).status_code == 422


def test_a_number_that_no_database_stores_is_refused(client: QuickClient) -> None:
    """A type of the project's own may make it, in a body or in a filter."""
    where = client.post("/api/v1/priceds", json={"cents": 1.5}).headers["Location"]
    for answer in (
        client.post("/api/v1/priceds", json={"cents": 1e30}),
        client.patch(where, json={"cents": 1e30}),
        client.get("/api/v1/priceds", params={"cents": "1e30"}),
    ):
        assert (answer.status_code, answer.json()["detail"]) == (422, "The database cannot store one of these values.")
    assert client.get(where).json()["cents"] == 1.5


def test_a_default_is_validated_where_the_class_asks_for_it(client: QuickClient) -> None:
    """By an option of the class, or of one field."""
    assert client.post("/api/v1/judgeds", json={}).json()["errors"][0]["loc"] == ["body", "name"]
    assert client.post("/api/v1/judgeds", json={"name": "xy"}).status_code == 201
    assert client.post("/api/v1/raiseds", json={}).json()["size"] == 2


def test_addresses_are_grouped(databases: Databases) -> None:
    """Those of IPv6 come after those of IPv4, as PostgreSQL sorts them."""
    registry = Registry()
    registry.register(Peer, read=ANYONE, write=ANYONE)
    url = databases.empty("postgresql")
    engine = create_engine(Settings(database_url=url))
    addresses.create_all(engine)
    engine.dispose()
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, addresses)) as client:
        for address in ("::1", "10.0.0.9", "10.0.0.1"):
            assert client.post("/api/v1/peers", json={"address": address}).status_code == 201
        items = client.get("/api/v1/peers/aggregate?group_by=address&count").json()["items"]
    assert [item["address"] for item in items] == ["10.0.0.1", "10.0.0.9", "::1"]
