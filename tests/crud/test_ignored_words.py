"""What a class says and the engine would not honour is refused at the start: class, word and fix."""

import re
from datetime import date, datetime, time
from enum import IntEnum
from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
import sqlalchemy as sa
from pydantic import (
    Base64Bytes,
    Base64Str,
    BaseModel,
    ConfigDict,
    PlainSerializer,
    PrivateAttr,
    PydanticDeprecatedSince20,
    SecretStr,
    WrapSerializer,
    field_serializer,
    model_serializer,
    validator,
)
from pydantic import Field as Member
from sqlalchemy import event
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.mutable import MutableDict
from sqlalchemy.orm import column_property, composite, validates
from sqlmodel import Field, SQLModel

from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from rowhouse.entities.model import IntegerKey, PortableTable, Record
from rowhouse.registration.mappers import configure_mappers
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.metadata import new_metadata, table_of

metadata = new_metadata()
LONG = "ä" * 32


class Level(IntEnum):
    """Numbers with names."""

    LOW = 1


class Base(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """`Entity` in a metadata of its own."""


class Aliased(Base, table=True):
    """A member with another name on the wire."""

    full_name: str = Field(alias="fullName")


class Lost(Base, table=True):
    """A word of pydantic 1."""

    code: str = Field(regex="^[A-Z]+$")


class Generated(Base, table=True):
    """The same for all members."""

    model_config = ConfigDict(alias_generator=str.upper)  # type: ignore[assignment]  # as projects write it
    full_name: str


class Serialized(Base, table=True):
    """A masked member."""

    iban: str

    @field_serializer("iban")
    def _mask(self, value: str) -> str:
        return value[-4:]


class Dumped(Base, table=True):
    """A serializer of the class."""

    name: str

    @model_serializer
    def _dump(self) -> dict[str, Any]:
        return {}


class Shouted(Base, table=True):
    """A serializer within the type."""

    name: Annotated[str, PlainSerializer(str.upper)] | None = None


class Wrapped(Base, table=True):
    """The other kind of serializer."""

    name: Annotated[str, WrapSerializer(lambda value, write: write(value))]


class Decoded(Base, table=True):
    """A text that is decoded when it comes in, and encoded by a serializer."""

    name: Base64Str


class Sparse(Base, table=True):
    """A member that is left out by its value."""

    size: Annotated[int, Member(exclude_if=lambda size: size == 0)] = 0


class Derived(Base, table=True):
    """A default that follows from another member."""

    size: int = 1
    area: Annotated[int, Member(default_factory=lambda members: members["size"] ** 2)]


class Paired(Base, table=True):
    """Two columns as one value."""

    x: int
    y: int


Paired.place = composite(tuple, table_of(Paired).c.x, table_of(Paired).c.y)


class Finished(Base, table=True):
    """A method that pydantic calls for each object."""

    name: str

    def model_post_init(self, _context: object, /) -> None:
        """Do nothing."""


class Counting(Base, table=True):
    """The same with an attribute of objects."""

    name: str
    _calls: int = PrivateAttr(default=0)

    def model_post_init(self, _context: object, /) -> None:
        """Count."""
        self._calls += 1


class Built(Base, table=True):
    """A constructor."""

    name: str

    def __init__(self, **values: Any) -> None:
        super().__init__(**values)


class Watched(Base, table=True):
    """An attribute with a listener."""

    name: str


class Loaded(Base, table=True):
    """A class with a listener for objects that are read."""

    name: str


class Mutated(Base, table=True):
    """Listeners of SQLAlchemy's own, and an attribute of objects."""

    facts: dict[str, Any] = Field(sa_column=sa.Column(MutableDict.as_mutable(sa.JSON)))
    _seen: bool = PrivateAttr(default=False)


class Frozen(Base, table=True):
    """A member that pydantic freezes."""

    name: str = Field(default="", schema_extra={"frozen": True})


class Open(Base, table=True):
    """Members that nobody has declared."""

    model_config = ConfigDict(extra="allow")  # type: ignore[assignment]  # as projects write it
    name: str


class Contextual(Base, table=True):
    """A default that asks SQLAlchemy for the other values."""

    name: str
    copied: str | None = Field(default=None, sa_column=sa.Column(sa.String(9), default=lambda context: f"{context}"))


class Parent(Base, table=True):
    """A class that others inherit from."""

    name: str


class Child(Parent, table=True):
    """Inheritance, joined or not."""

    size: int = 0


class Poly(Base, table=True):
    """Single-table inheritance."""

    __mapper_args__ = {"polymorphic_on": "kind"}  # noqa: RUF012  SQLAlchemy's form
    kind: str = "poly"


class Versioned(Base, table=True):
    """A version that SQLAlchemy counts."""

    __mapper_args__ = {"version_id_col": None}  # noqa: RUF012  set below
    version: int = 0


class Lengthy(Base, table=True):
    """A column whose name PostgreSQL cuts."""

    name: str = Field(sa_column_kwargs={"name": LONG})


class Expressed(Base, table=True):
    """A member that is an expression."""

    name: str


Expressed.size = column_property(sa.func.length(Expressed.name))
sa.inspect(Versioned).version_id_col = table_of(Versioned).c.version


class Heard(Base, table=True):
    """A class with a listener."""

    name: str


class Validated(Base, table=True):
    """A class with SQLAlchemy's validator."""

    name: str

    @validates("name")
    def _check(self, _key: str, value: str) -> str:
        return value


@event.listens_for(Heard, "before_insert")
def _before_insert(*_parts: object) -> None:
    """Do nothing."""


@event.listens_for(Watched.name, "set")
@event.listens_for(Loaded, "load")
def _on_object(*_parts: object) -> None:
    """Do nothing."""


class Timed(Base, table=True):
    """An instant without fractions of a second."""

    at: datetime = Field(sa_type=postgresql.TIMESTAMP(precision=0))


class Mapped(Base, table=True):
    """A class whose table has a column that is no member, and a word of pydantic 1."""

    __tablename__ = "ä" * 32
    name: str


Mapped.more = column_property(sa.Column("more", sa.Integer))


class Unmapped(IntegerKey, SQLModel):
    """A class that is mapped to a table by hand, which lacks a column."""

    left_out: str = ""


sa.orm.registry(metadata=metadata).map_imperatively(
    Unmapped, sa.Table("unmapped", metadata, sa.Column("id", sa.Integer, primary_key=True))
)


class Overlong(Base, table=True):
    """A table whose name PostgreSQL cuts."""

    __tablename__ = "ö" * 32
    name: str


class Old(Base, table=True):
    """A validator of pydantic 1."""

    name: str
    with pytest.warns(PydanticDeprecatedSince20):

        @validator("name")
        @classmethod
        def _check(cls, value: str) -> str:
            return value


class Cat(BaseModel):
    """One of two kinds."""

    kind: Literal["cat"]


class Dog(BaseModel):
    """The other kind."""

    kind: Literal["dog"]


class Kinds(Base, table=True):
    """A document of one of two kinds, which a discriminator of the field distinguishes."""

    pet: Cat | Dog = Field(sa_type=sa.JSON, discriminator="kind")


class Tree(BaseModel):
    """A document that holds documents of its kind."""

    within: "list[Tree]" = []


class Quiet(Base, table=True):
    """Words that say nothing, and a document that loses nothing."""

    tree: Tree = Field(sa_type=sa.JSON)

    model_config = ConfigDict(alias_generator=None, json_schema_extra={}, title="Quiet")  # type: ignore[assignment]  # as projects write it
    name: str


class Nested(Base, table=True):
    """An array within an array."""

    tags: list[str] = Field(sa_type=postgresql.ARRAY(sa.String, dimensions=2))


class Tagged(Base, table=True):
    """An array of PostgreSQL."""

    tags: list[str] = Field(sa_type=postgresql.ARRAY(sa.String))
    sizes: list[int] | None = Field(default=None, sa_type=postgresql.ARRAY(sa.Integer))


class Counted(Base, table=True):
    """A number that the database counts up beside the key."""

    number: int | None = Field(default=None, sa_column=sa.Column(sa.Integer, sa.Identity(always=True)))


class Narrow(Base, table=True):
    """A type that does not hold the annotation."""

    size: int = Field(sa_type=sa.Numeric(8, 0))


class Dated(Base, table=True):
    """The same, of instants."""

    day: date = Field(sa_type=sa.DateTime)


class Named(Base, table=True):
    """The same, of an enum."""

    level: Level = Field(sa_type=sa.String(9))


class Keyed(Base, table=True):
    """The same, of UUIDs."""

    guest: UUID = Field(sa_type=sa.String(36))


class Timely(Base, table=True):
    """A time of day with a zone."""

    at: time = Field(sa_type=sa.Time(timezone=True))


class Rounded(Base, table=True):
    """A time of day without fractions of a second."""

    at: time = Field(sa_type=postgresql.TIME(precision=0))


class Asked(Base, table=True):
    """A number that the driver returns as a decimal."""

    size: float = Field(sa_type=sa.Float(asdecimal=True))


class Single(Base, table=True):
    """A number of single precision."""

    size: float = Field(sa_type=sa.REAL)


class Checked(Base, table=True):
    """A check constraint of the names of an enum."""

    level: Level = Field(sa_column=sa.Column(sa.Enum(Level, native_enum=False, create_constraint=True, name="levels")))


class Local(Base, table=True):
    """A default without a zone."""

    at: datetime = Field(default_factory=datetime.now)


class Touched(Base, table=True):
    """The same, at each change."""

    at: datetime | None = Field(default=None, sa_column_kwargs={"onupdate": datetime.now})


class Numbered(Base, table=True):
    """A word that has no effect in strict mode."""

    name: Annotated[str, Member(coerce_numbers_to_str=True)] = ""


class Numbering(Base, table=True):
    """The same for all members."""

    model_config = ConfigDict(coerce_numbers_to_str=True)  # type: ignore[assignment]  # as projects write it
    name: str = ""


class Encoded(Base, table=True):
    """An encoding of pydantic's, of what is encoded already."""

    name: str
    photo: Base64Bytes = Field(sa_type=sa.LargeBinary)


class Credentials(BaseModel):
    """A document with a secret."""

    tokens: list[SecretStr]


class Hiding(BaseModel):
    """A document with a part that pydantic leaves out."""

    within: "Hiding | None" = None
    size: int = Member(exclude=True)


class Kept(Base, table=True):
    """A document that would be stored without its secret."""

    login: Credentials = Field(sa_type=sa.JSON)


class Hidden(Base, table=True):
    """A document that would be stored without a part."""

    parts: list[Hiding] = Field(sa_type=sa.JSON)


class Bits(Base, table=True):
    """A type that is no JSON."""

    bits: str = Field(sa_type=postgresql.BIT(3))


class Sequenced(Base, table=True):
    """A number that a sequence counts."""

    number: int | None = Field(default=None, sa_column=sa.Column(sa.Integer, sa.Sequence("numbers")))


class Bare(PortableTable, registry=sa.orm.registry(metadata=metadata)):
    """A table without a key and timestamps."""


class Started(Bare, table=True):
    """A key that begins at another number."""

    id: int | None = Field(default=None, sa_column=sa.Column(sa.Integer, sa.Identity(start=100), primary_key=True))


class Networked(Base, table=True):
    """An address of PostgreSQL."""

    address: str = Field(sa_type=postgresql.INET)


class Foreign(Base, table=True):
    """A type that PostgreSQL lacks."""

    name: str = Field(sa_type=sa.NVARCHAR(9))


def refused(model: type[SQLModel], **line: Any) -> str:
    """Return the message of the registry."""
    with pytest.raises(RegistrationError) as caught:
        Registry().register(model, read=ANYONE, write=ANYONE, **line)
    return str(caught.value)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Aliased, "Aliased.full_name: alias='fullName' would have no effect; name the attribute as the member"),
        (Lost, r"Lost.code: regex='\^\[A-Z\]\+\$' would have no effect; write schema_extra={'pattern': ...}"),
        (Generated, "alias_generator=.* would have no effect; name each attribute as the member"),
        (
            Serialized,
            r"Serialized._mask: @field_serializer\('iban'\) would not be called, .* another value with @computed_field, and hide",
        ),
        (Dumped, "Dumped._dump: @model_serializer would not be called"),
        (Shouted, "Shouted.name: the serializer in Annotated would not be called; hide it with exclude=True, and show"),
        (Decoded, "Decoded.name: the serializer in Annotated would not be called"),
        (Wrapped, "Wrapped.name: the serializer in Annotated would not be called"),
        (Sparse, "Sparse.size: exclude_if would have no effect"),
        (Derived, "Derived.area: default_factory takes the other members, .* set the value in a model_validator"),
        (Finished, "Finished: model_post_init would not be called; write a default"),
        (Counting, "Counting: model_post_init would not be called"),
        (Built, "Built: __init__ would not be called"),
        (Frozen, "Frozen.name: frozen=True forbids SQLAlchemy to set it; take it out, and mark the column CREATE_ONLY"),
        (Open, "Open.model_config: extra='allow' would have no effect; unknown members are always refused"),
        (Contextual, "Contextual.copied: default= and onupdate= call a function without arguments"),
        (Child, "Child inherits from the table class Parent, .* put what they share into a class without table"),
        (Poly, "Poly: polymorphic_on has no effect"),
        (Versioned, "Versioned: version_id_col is not counted up; take it out, because ETag and If-Match"),
        (Lengthy, "Lengthy.name: PostgreSQL cuts the name of the column after 63 bytes"),
        (Timed, "Timed.at: TIMESTAMP.* gives no instant on both databases; leave the type out"),
        (Mapped, "Mapped.more: the column is no field; declare it as more: <type>"),
        (Unmapped, "Unmapped.left_out: the field has no column; map it, or take it out"),
        (Overlong, "Overlong: PostgreSQL cuts the name of the table after 63 bytes; give a shorter __tablename__"),
        (Old, "Old._check: @validator and @root_validator are not called; write @field_validator or @model_validator"),
        (Kinds, "Kinds.pet: discriminator would have no effect; put it into the type with Annotated"),
        (Nested, "Nested.tags: an ARRAY column holds a list"),
        (Narrow, "Narrow.size: Numeric.* does not hold int; leave the type out, use sa.Integer, or annotate"),
        (Dated, "Dated.day: sa.DateTime.. does not hold date; .* use sa.Date"),
        (Named, "Named.level: String.* does not hold Level; .* use sa.Integer"),
        (Keyed, "Keyed.guest: String.* does not hold UUID; .* use sa.Uuid"),
        (Timely, "Timely.at: Time.* has a zone on PostgreSQL only, .*; use sa.Time"),
        (Rounded, "Rounded.at: TIME.* rounds on PostgreSQL only; leave the type out"),
        (Asked, "Asked.size: Float.* gives decimals; leave asdecimal out"),
        (Single, "Single.size: REAL.* keeps 6 digits on PostgreSQL and 15 on SQLite; .* use sa.Double"),
        (Checked, "Checked.level: create_constraint=True checks the names of the enum, .* give values_callable="),
        (Local, "Local.at: default_factory gives an instant without a zone; write rowhouse.now"),
        (Touched, "Touched.at: onupdate gives an instant without a zone; write rowhouse.now"),
        (Numbered, "Numbered.name: coerce_numbers_to_str has no effect: .*; take it out"),
        (Numbering, "Numbering.model_config: coerce_numbers_to_str=True would have no effect; .*; take it out"),
        (Encoded, "Encoded.photo: pydantic cannot apply a word of the annotation .*; take it out"),
        (Kept, "Kept.login: a JSON column .* hides the value of a SecretStr; give it a column of its own"),
        (Hidden, "Hidden.parts: a JSON column .* exclude=True leaves Hiding.size out; give it a column of its own"),
        (Expressed, "Expressed.size: it is an SQL expression; read it with computed_columns"),
    ],
)
def test_an_option_without_effect_is_refused(model: type[SQLModel], said: str) -> None:
    """Each case by itself."""
    assert re.search(said, refused(model))


def test_an_option_with_its_default_is_accepted() -> None:
    """Such as `alias_generator=None`."""
    registry = Registry()
    for model in (Quiet, Mutated):
        registry.register(model, read=ANYONE, write=ANYONE)
    configure_mappers([registry])


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Heard, "Heard: a listener waits for before_insert, which writes of the API do not fire; override prepare"),
        (Paired, "Paired.place: composite.. would not be shown"),
        (Watched, "Watched.name: a listener waits for set, which the API does not fire"),
        (Loaded, "Loaded: a listener waits for load, which the API does not fire"),
        (Validated, "Validated.name: @validates of SQLAlchemy is not called; write @field_validator"),
    ],
)
def test_events_that_do_not_fire_are_refused(model: type[SQLModel], said: str) -> None:
    """The check runs at the start, because a listener may come after the registration."""
    registry = Registry()
    registry.register(model, read=ANYONE, write=ANYONE)
    with pytest.raises(RegistrationError, match=said):
        configure_mappers([registry])


def test_a_type_without_json_has_no_history() -> None:
    """The message says both ways out."""
    said = "Bits.bits: the values of BIT cannot be stored as JSON .* without soft_delete and history"
    assert re.search(said, refused(Bits, history=True))


def test_a_type_that_postgresql_lacks_stops_the_start_there(databases: Databases) -> None:
    """SQLite has every type."""
    registry = Registry()
    registry.register(Foreign, read=ANYONE, write=ANYONE)
    with pytest.raises(RegistrationError, match=r"Foreign.name is NVARCHAR.*, which PostgreSQL lacks; use sa.String"):
        create_app(Settings(database_url=databases.empty("postgresql"), **QUIET), registry, metadata)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Tagged, "Tagged.tags is an ARRAY"),
        (Counted, "Counted.number is an Id"),
        (Sequenced, "Sequenced.number has a Sequence, which SQLite lacks"),
        (Started, "Started.id: start=100 has no effect on SQLite"),
        (Networked, "Networked.address is INET.*, which SQLite lacks"),
    ],
)
def test_what_sqlite_lacks_stops_the_start_there(model: type[SQLModel], said: str, databases: Databases) -> None:
    """The same registration is for PostgreSQL."""
    registry = Registry()
    registry.register(model, read=ANYONE, write=ANYONE)
    with pytest.raises(RegistrationError, match=said):
        create_app(Settings(database_url=databases.empty("sqlite"), **QUIET), registry, metadata)


def test_arrays_on_postgresql(databases: Databases) -> None:
    """Create, change, export, import and restore; the database counts the identity."""
    url = databases.empty("postgresql")
    engine = create_engine(Settings(database_url=url))
    metadata.create_all(engine, [table_of(Tagged), table_of(Counted), metadata.tables["deleted_rows"]])
    engine.dispose()
    registry = Registry()
    registry.register(Tagged, read=ANYONE, write=ANYONE, soft_delete=True)
    registry.register(Counted, read=ANYONE, write=ANYONE)
    with QuickClient(create_app(Settings(database_url=url, **QUIET), registry, metadata)) as client:
        made = client.post("/api/v1/taggeds", json={"tags": ["a", 'b",'], "sizes": [1, 2]})
        assert (made.status_code, made.json()["tags"], made.json()["sizes"]) == (201, ["a", 'b",'], [1, 2])
        assert client.post("/api/v1/taggeds", json={"tags": ["a"], "sizes": [2**40]}).status_code == 422
        where = made.headers["Location"]
        assert client.patch(where, json={"sizes": []}).json()["sizes"] == []
        assert client.delete(where).status_code == 204
        assert client.post(f"{where}/restore").json()["tags"] == ["a", 'b",']
        exported = client.get("/api/v1/taggeds/export", params={"fields": "tags,sizes"}).text
        sent = client.post("/api/v1/taggeds/import", content=exported, headers={"Content-Type": "text/csv"})
        assert (sent.status_code, client.get("/api/v1/taggeds").json()["items"][1]["tags"]) == (201, ["a", 'b",'])
        assert client.post("/api/v1/counteds", json={}).json()["number"] == 1
