"""Keys of any name and type, of several columns, set by the server or by clients; no timestamps, or others' names."""

import uuid
from datetime import date, datetime
from typing import Annotated, Any

import sqlalchemy as sa
from sqlalchemy.orm import registry
from sqlmodel import Field, SQLModel

from rowhouse import CREATE_ONLY, CREATED_AT, SECRET, UPDATED_AT, NoOverlap, now
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()


class Plain(SQLModel, registry=registry(metadata=metadata)):
    """`SQLModel` in the metadata of this group."""


class Hero(Plain, table=True):
    """As SQLModel's tutorial has it."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(index=True)
    secret_name: Annotated[str, SECRET] = "unknown"
    age: int | None = Field(default=None, index=True)


class Country(Plain, table=True):
    """A key of text that clients set."""

    code: str = Field(primary_key=True, max_length=60)
    name: str = Field(max_length=60, index=True)
    population: int | None = Field(default=None, index=False)


class City(Plain, table=True):
    """Refers to a key of text; its own counts up, by another name and in 64 bits."""

    __tablename__ = "Towns"

    number: int | None = Field(default=None, primary_key=True, sa_type=sa.BigInteger)
    country_code: str = Field(foreign_key="country.code", index=True)
    name: str = Field(max_length=60, index=False)
    added: Annotated[datetime, CREATED_AT] = Field(index=False)
    changed: Annotated[datetime, UPDATED_AT] = Field(index=False)


class Voucher(Plain, table=True):
    """A UUID that the server makes, under another name."""

    reference: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    amount: int = Field(ge=1, le=500, index=False)


class Ticket(Plain, table=True):
    """A UUID that the client may make, as an offline client does."""

    id: Annotated[uuid.UUID, CREATE_ONLY] = Field(default_factory=uuid.uuid4, primary_key=True)
    subject: str = Field(max_length=60, index=False)
    details: Any = Field(default=None, sa_type=sa.JSON)


class Holiday(Plain, table=True):
    """A date as the key; deleted ones come back."""

    day: date = Field(primary_key=True)
    name: str = Field(max_length=60, index=False)


class Channel(Plain, table=True):
    """A small integer that clients set."""

    number: int = Field(primary_key=True, sa_type=sa.SmallInteger, ge=1)
    label: str = Field(max_length=60, index=False)


class Slug(Plain, table=True):
    """A text that the server makes, with letters beyond ASCII."""

    slug: str = Field(default_factory=lambda: f"übung {uuid.uuid4()}", primary_key=True, max_length=60)
    title: str = Field(max_length=60, index=False)


class Serial(Plain, table=True):
    """A key that the database makes by itself, in no order."""

    serial: str | None = Field(
        default=None, primary_key=True, max_length=40, sa_column_kwargs={"server_default": sa.text("('T' || random())")}
    )
    note: str = Field(max_length=60, index=False)


class Student(Plain, table=True):
    """One side of a link."""

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=60, index=False)


class Course(Plain, table=True):
    """The other side, by its code."""

    code: str = Field(primary_key=True, max_length=60)
    title: str = Field(max_length=60, index=False)


class Enrolment(Plain, table=True):
    """A key of two foreign keys, with columns of its own."""

    student_id: int = Field(foreign_key="student.id", primary_key=True)
    course_code: str = Field(foreign_key="course.code", primary_key=True, index=True)
    since: Annotated[date, CREATE_ONLY] = Field(index=False)
    grade: int | None = Field(default=None, index=False)


class Grade(Plain, table=True):
    """Refers to a key of two columns."""

    __table_args__ = (
        sa.ForeignKeyConstraint(["student_id", "course_code"], ["enrolment.student_id", "enrolment.course_code"]),
    )

    id: int | None = Field(default=None, primary_key=True)
    student_id: int | None = Field(default=None, index=True)
    course_code: str | None = Field(default=None, index=False, max_length=60)
    points: int = Field(ge=0, le=100, index=False)


class Friendship(Plain, table=True):
    """A key and nothing else, as SQLModel's documentation writes a link."""

    student_id: int | None = Field(default=None, foreign_key="student.id", primary_key=True)
    friend_id: int | None = Field(default=None, foreign_key="student.id", primary_key=True, index=True)


class Favourite(Plain, table=True):
    """The owner is a part of the key."""

    user_id: int = Field(foreign_key="users.id", primary_key=True)
    country_code: str = Field(foreign_key="country.code", primary_key=True, index=True)
    stars: int = Field(default=1, ge=1, le=5, index=False)
    since: datetime = Field(default_factory=now, index=False)


class Lease(Plain, table=True):
    """No two overlap; the key has another name."""

    __table_args__ = (NoOverlap("country_code", "first_day", "last_day"),)

    lease_number: int | None = Field(default=None, primary_key=True)
    country_code: str = Field(foreign_key="country.code", index=True)
    first_day: date = Field(index=False)
    last_day: date = Field(index=False)
