"""What a class says and the engine would not honour is refused at the start: class, word and fix."""

from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import ConfigDict, computed_field, field_serializer, model_serializer
from sqlalchemy import event
from sqlalchemy.orm import column_property, validates
from sqlmodel import Field, SQLModel

from rowhouse.core.policy import ANYONE
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.registration.mappers import configure_mappers
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.sample_entities.metadata import new_metadata, table_of

metadata = new_metadata()
LONG = "ä" * 32


class Base(IntegerKey, Record, registry=sa.orm.registry(metadata=metadata)):
    """`Entity` in a metadata of its own."""


class Aliased(Base, table=True):
    """A member with another name on the wire."""

    full_name: str = Field(alias="fullName")


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


class Calculated(Base, table=True):
    """A member that is calculated."""

    name: str

    @computed_field
    def length(self) -> int:
        """The length of the name."""
        return len(self.name)


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


def refused(model: type[SQLModel], **line: Any) -> str:
    """Return the message of the registry."""
    with pytest.raises(RegistrationError) as caught:
        Registry().register(model, read=ANYONE, write=ANYONE, **line)
    return str(caught.value)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Aliased, "Aliased.full_name: alias='fullName' would have no effect; name the attribute as the member"),
        (Generated, "alias_generator=.* would have no effect; name each attribute as the member"),
        (Serialized, r"Serialized._mask: @field_serializer\('iban'\) would not be called"),
        (Dumped, "Dumped._dump: @model_serializer would not be called"),
        (Calculated, "Calculated.length: @computed_field would not be shown; use computed_columns"),
        (Frozen, "Frozen.name: frozen=True forbids SQLAlchemy to set it; take it out, and mark the column CREATE_ONLY"),
        (Open, "Open.model_config: extra='allow' would have no effect; unknown members are always refused"),
        (Contextual, "Contextual.copied: default= and onupdate= call a function without arguments"),
        (Child, "Child inherits from the table class Parent, .* put what they share into a class without table"),
        (Poly, "Poly: polymorphic_on has no effect"),
        (Versioned, "Versioned: version_id_col is not counted up; take it out, because ETag and If-Match"),
        (Lengthy, "Lengthy.name: PostgreSQL cuts the name of the column after 63 bytes"),
        (Expressed, "Expressed.size: it is an SQL expression; read it with computed_columns"),
    ],
)
def test_a_word_without_effect_is_refused(model: type[SQLModel], said: str) -> None:
    """Each case by itself."""
    import re  # noqa: PLC0415

    assert re.search(said, refused(model))


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (Heard, "Heard: a listener waits for before_insert, which writes of the API do not fire; override prepare"),
        (Validated, "Validated.name: @validates of SQLAlchemy is not called; write @field_validator"),
    ],
)
def test_events_that_do_not_fire_are_refused(model: type[SQLModel], said: str) -> None:
    """The check runs at the start, because a listener may come after the registration."""
    registry = Registry()
    registry.register(model, read=ANYONE, write=ANYONE)
    with pytest.raises(RegistrationError, match=said):
        configure_mappers([registry])
