"""A constant default is a value that the column holds. Otherwise the start is refused: pydantic does not validate it."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from itertools import count
from typing import Annotated, Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from pydantic import AfterValidator, BaseModel, ConfigDict, EmailStr
from sqlmodel import Field, SQLModel

from rowhouse.core.policy import ANYONE
from rowhouse.entities.model import SECRET, IntegerKey, Record
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.sample_entities.metadata import new_metadata

NUMBERS = count()
KEY = "00000000-0000-4000-8000-000000000001"


class Base(IntegerKey, Record, registry=sa.orm.registry(metadata=new_metadata())):
    """`Entity` in a metadata of its own."""


class Mood(Enum):
    """The words of a column."""

    GOOD = "good"


class Level(IntEnum):
    """Numbers with names."""

    LOW = 1


class Address(BaseModel):
    """A document."""

    street: str


class Own:
    """A type that pydantic does not know."""


def _shout(value: str) -> str:
    return value.upper()


def _register(annotation: Any, field: Any) -> None:
    """Register a class with the column `value`."""
    members: dict[str, Any] = {"__annotations__": {"value": annotation}, "value": field, "__module__": __name__}
    members["model_config"] = ConfigDict(arbitrary_types_allowed=True)
    kind: Any = type(Base)
    model: type[SQLModel] = kind(f"Sample{next(NUMBERS)}", (Base,), members, table=True)
    Registry("/api/v1").register(model, read=ANYONE, write=ANYONE)


def _words() -> Any:
    return sa.Column(sa.Enum("draft", "sent", name="words"), nullable=False)


@pytest.mark.parametrize(
    ("annotation", "field", "message"),
    [
        (date, Field(default="2030-01-31"), r"default='2030-01-31' is not .*: write datetime\.date\(2030, 1, 31\)"),
        (datetime, Field(default="2030-01-31T00:00:00Z"), r"write datetime\.datetime\(2030, 1, 31"),
        (date, Field(default=datetime(2030, 1, 31, tzinfo=UTC)), r"write datetime\.date\(2030, 1, 31\)"),
        (time, Field(default="08:30"), r"write datetime\.time\(8, 30\)"),
        (timedelta, Field(default=90), r"write datetime\.timedelta\(seconds=90\)"),
        (UUID, Field(default=KEY), r"write UUID\("),
        (bytes, Field(default="x"), r"write b'x'"),
        (bool, Field(default="yes"), r"write True"),
        (int, Field(default="two"), r"default='two' does not fit the column: .* valid integer"),
        (int, Field(default=2**40), r"does not fit the column: .* less than or equal to 2147483647"),
        (str, Field(default=5), r"does not fit the column: .* valid string"),
        (str, Field(default="too long", max_length=3), r"does not fit the column: .* at most 3 characters"),
        (str | None, Field(default="too long", max_length=3), r"at most 3 characters"),
        (str, Field(default="\0"), r"does not fit the column"),
        (Decimal, Field(default=Decimal("0.125"), max_digits=5, decimal_places=2), r"no more than 2 decimal places"),
        (Decimal, Field(default=10_000, max_digits=5, decimal_places=2), r"does not fit the column"),
        (Mood, Field(default="bad"), r"Input should be 'good'"),
        (Level, Field(default=7), r"Input should be 1"),
        (str, Field(default="gone", sa_column=_words()), r"Input should be 'draft' or 'sent'"),
        (list[int], Field(default="x", sa_type=sa.JSON), r"valid list"),
        (Annotated[date, SECRET], Field(default="2030-01-31"), r"write datetime\.date"),
        (
            int,
            Field(sa_column=sa.Column(sa.Integer, default="two", nullable=False)),
            r"Column\(default=\) 'two' does not",
        ),
        (int, Field(sa_column_kwargs={"onupdate": "two"}), r"onupdate= 'two' does not fit"),
    ],
)
def test_a_default_that_the_column_does_not_hold_stops_the_start(annotation: Any, field: Any, message: str) -> None:
    """SQLite stored it as it is, PostgreSQL refused each row, or every POST failed."""
    with pytest.raises(RegistrationError, match=rf"Sample\d+\.value: .*{message}"):
        _register(annotation, field)


@pytest.mark.parametrize(
    ("annotation", "field"),
    [
        (float, Field(default=1)),
        (Decimal, Field(default=0.1, max_digits=5, decimal_places=2)),
        (Decimal, Field(default="0.10", max_digits=5, decimal_places=2)),
        (float, Field(default=0.5, sa_column=sa.Column(sa.Numeric(6, 2), nullable=False))),
        (bool, Field(default=1)),
        (int, Field(default=50, le=10)),
        (Mood, Field(default=Mood.GOOD)),
        (Mood, Field(default="good")),
        (Level, Field(default=Level.LOW)),
        (Level, Field(default=1)),
        (str, Field(default="sent", sa_column=_words())),
        (EmailStr, Field(default="Ada@Example.COM")),
        (Annotated[str, AfterValidator(_shout)] | None, Field(default="quiet")),
        (Address, Field(default={"street": "Main"}, sa_type=sa.JSON)),
        (datetime, Field(default=datetime(2030, 1, 31, tzinfo=UTC))),
        (Annotated[Own, SECRET], Field(default="x", sa_type=sa.String)),
    ],
)
def test_a_default_in_another_notation_is_taken(annotation: Any, field: Any) -> None:
    """Both databases store it alike. The class may state narrower bounds for clients than for its own default."""
    _register(annotation, field)
