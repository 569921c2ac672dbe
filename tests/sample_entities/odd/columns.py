"""Every column type: required, nullable, and with a default."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any
from uuid import UUID, uuid4

from annotated_types import Ge
from pydantic import EmailStr, StringConstraints
from sqlalchemy import JSON, BigInteger, SmallInteger
from sqlmodel import Field

from tests.sample_entities.odd.base import OddEntity


class Colour(StrEnum):
    """An enum of texts that are texts themselves."""

    RED = "red"
    GREEN = "green"
    BLUE = "blue"


class Shape(Enum):
    """An enum of texts that are none themselves."""

    ROUND = "round"
    SQUARE = "square"


class Level(IntEnum):
    """An enum of numbers."""

    LOW = 1
    HIGH = 10
    LOWEST = -2


class Everything(OddEntity, table=True):
    """Each column type, required."""

    text: str
    short_text: str = Field(max_length=40)
    patterned: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}-\d+$")]
    indexed_text: str = Field(index=True)
    address: EmailStr
    whole: int
    percentage: int = Field(ge=0, le=100)
    small: int = Field(sa_type=SmallInteger)
    small_share: int = Field(ge=1, lt=9, sa_type=SmallInteger)
    big: int = Field(sa_type=BigInteger)
    ratio: float
    flag: bool
    amount: Decimal = Field(max_digits=15, decimal_places=2)
    positive: Decimal = Field(gt=0, le=500, max_digits=6, decimal_places=3)
    occurs_at: datetime
    day: date
    clock: time
    span: timedelta
    reference: UUID
    colour: Colour
    shape: Shape
    level: Level
    document: dict[str, Any] = Field(sa_type=JSON)
    tags: list[str] = Field(sa_type=JSON)


class Maybe(OddEntity, table=True):
    """Each column type, nullable."""

    text: str | None = None
    short_text: str | None = Field(default=None, max_length=40)
    whole: int | None = None
    limited: Annotated[int, Ge(5)] | None = None
    small: int | None = Field(default=None, sa_type=SmallInteger)
    big: int | None = Field(default=None, sa_type=BigInteger)
    ratio: float | None = None
    flag: bool | None = None
    amount: Decimal | None = Field(default=None, max_digits=15, decimal_places=2)
    occurs_at: datetime | None = None
    day: date | None = None
    clock: time | None = None
    span: timedelta | None = None
    reference: UUID | None = None
    colour: Colour | None = None
    shape: Shape | None = None
    level: Level | None = None
    document: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    tags: list[str] | None = Field(default=None, sa_type=JSON)


class Preset(OddEntity, table=True):
    """Each column type with a default or a factory of defaults; the first column alone is required."""

    name: str = Field(max_length=80)
    text: str = "preset"
    whole: int = 7
    small: int = Field(default=-7, sa_type=SmallInteger)
    big: int = Field(default=2**40, sa_type=BigInteger)
    ratio: float = 0.5
    flag: bool = True
    amount: Decimal = Field(default=Decimal("12.50"), max_digits=15, decimal_places=2)
    occurs_at: datetime = datetime(2030, 1, 31, 12, tzinfo=UTC)
    day: date = date(2030, 1, 31)
    clock: time = time(8, 30)
    span: timedelta = timedelta(minutes=90)
    reference: UUID = Field(default_factory=uuid4)
    colour: Colour = Colour.GREEN
    shape: Shape = Shape.ROUND
    level: Level = Level.HIGH
    document: dict[str, Any] = Field(default_factory=dict, sa_type=JSON)
    tags: list[str] = Field(default_factory=lambda: ["new"], sa_type=JSON)
