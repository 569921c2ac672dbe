"""The entities of the clinic, in a metadata of their own."""

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from pydantic import StringConstraints
from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.orm import registry
from sqlmodel import Field

from rowhouse import CREATE_ONLY, READ_ONLY, SECRET, IntegerKey, NoOverlap, Record, UUIDKey
from tests.sample_entities.metadata import new_metadata

metadata = new_metadata()


class ClinicRecord(Record, registry=registry(metadata=metadata)):
    """`Record` in the clinic's metadata."""


class ClinicEntity(IntegerKey, ClinicRecord):
    """`Entity` in the clinic's metadata."""


class Owner(ClinicEntity, table=True):
    """A person who brings pets."""

    name: str = Field(min_length=1, max_length=100, index=True)
    country: str = Field(default="DE", min_length=2, max_length=2, index=False)
    phone: Annotated[str, StringConstraints(pattern=r"^\+[0-9]{6,15}$")]
    is_member: bool = Field(default=False, index=False)


class Species(StrEnum):
    """The kinds of pets."""

    DOG = "dog"
    CAT = "cat"
    PARROT = "parrot"


class Pet(ClinicEntity, table=True):
    """An animal; its name is unique for its owner."""

    __table_args__ = (UniqueConstraint("owner_id", "name"), CheckConstraint("litter BETWEEN 1 AND 12", name="litter"))

    owner_id: int = Field(foreign_key="owners.id")
    name: str = Field(min_length=1, max_length=50, index=True)
    species: Species = Field(index=False)
    weight: Decimal = Field(gt=0, lt=1000, max_digits=6, decimal_places=2, index=False)
    litter: int = Field(default=1, index=False)
    born_on: date | None = Field(default=None, index=False)


class Passport(ClinicEntity, table=True):
    """One for each pet, with a number of its own."""

    pet_id: Annotated[int, CREATE_ONLY] = Field(foreign_key="pets.id", unique=True)
    number: int = Field(gt=0, unique=True)
    issued_on: date = Field(index=False)
    expires_on: date = Field(index=False)

    __table_args__ = (CheckConstraint("issued_on < expires_on", name="expires_later"),)


class Vet(ClinicEntity, table=True):
    """A vet and the hours of work."""

    name: str = Field(min_length=1, max_length=100, index=False)
    licence: str = Field(max_length=3, unique=True)
    works_from: time = Field(index=False)
    works_until: time = Field(index=False)


class AppointmentStatus(StrEnum):
    """The states of an appointment."""

    REQUESTED = "requested"
    CONFIRMED = "confirmed"
    DONE = "done"
    CANCELLED = "cancelled"


LIVE = (AppointmentStatus.REQUESTED, AppointmentStatus.CONFIRMED)


class Appointment(ClinicEntity, table=True):
    """A vet's time for a pet."""

    __table_args__ = (NoOverlap("vet_id", "start_time", "end_time", live={"status": LIVE}),)

    vet_id: int = Field(foreign_key="vets.id", index=True)
    pet_id: int = Field(foreign_key="pets.id", index=True)
    booked_by_id: int = Field(foreign_key="users.id", index=True)
    start_time: datetime = Field(index=True)
    end_time: datetime = Field(index=False)
    status: Annotated[AppointmentStatus, READ_ONLY] = Field(default=AppointmentStatus.REQUESTED, index=False)
    reason: str | None = Field(default=None, max_length=500, index=False)


class Invoice(UUIDKey, ClinicRecord, table=True):
    """What an owner pays."""

    owner_id: int = Field(foreign_key="owners.id", index=True)
    due_on: date = Field(index=True)
    is_paid: bool = Field(default=False, index=False)


class InvoiceLine(ClinicEntity, table=True):
    """One position of an invoice."""

    __table_args__ = (UniqueConstraint("invoice_id", "position"),)

    invoice_id: Annotated[UUID, CREATE_ONLY] = Field(foreign_key="invoices.id")
    position: int = Field(ge=1, le=99, index=False)
    text: str = Field(max_length=200, index=False)
    amount: Decimal = Field(ge=0, max_digits=8, decimal_places=2, index=False)


class Attachment(ClinicEntity, table=True):
    """A document about a pet, seen by who stored it."""

    stored_by_id: int = Field(foreign_key="users.id", index=True)
    pet_id: int = Field(foreign_key="pets.id", index=True)
    content: dict[str, Any] = Field(sa_type=sa.JSON)
    labels: list[str] = Field(default_factory=list, sa_type=sa.JSON)


class Tag(ClinicEntity, table=True):
    """A word for pets."""

    name: str = Field(min_length=1, max_length=30, unique=True)


class PetTag(ClinicEntity, table=True):
    """A tag of a pet: foreign keys alone."""

    __table_args__ = (UniqueConstraint("pet_id", "tag_id"),)

    pet_id: int = Field(foreign_key="pets.id")
    tag_id: int = Field(foreign_key="tags.id", index=True)


class ServiceCategory(ClinicEntity, table=True):
    """A kind of service; each may be part of another."""

    name: str = Field(max_length=60, unique=True)
    parent_id: int | None = Field(default=None, foreign_key="service_categories.id", index=True)


class Price(ClinicEntity, table=True):
    """A price, which the clinic's office stores and everybody reads."""

    __table_args__ = (CheckConstraint("valid_until IS NULL OR valid_from <= valid_until", name="valid_later"),)

    category_id: int = Field(foreign_key="service_categories.id", index=True)
    valid_from: date = Field(index=True)
    valid_until: date | None = Field(default=None, index=False)
    amount: Decimal = Field(gt=0, max_digits=8, decimal_places=2, index=False)
    revision: Annotated[str, READ_ONLY] = Field(max_length=10, index=False)


class Note(ClinicEntity, table=True):
    """A word of an account to itself, which is never changed."""

    author_id: int = Field(foreign_key="users.id", index=True)
    text: str | None = Field(default=None, max_length=1000, index=False)
    takes: timedelta | None = Field(default=None, index=False)
    first_page: int = Field(default=1, ge=1, index=False)
    last_page: int = Field(default=1, ge=1, index=False)


class Complaint(ClinicEntity, table=True):
    """What the clinic takes from every account, and shows nobody."""

    made_by_id: int = Field(foreign_key="users.id", index=True)
    text: str = Field(min_length=1, max_length=1000)
    pin: Annotated[str | None, SECRET] = Field(default=None, max_length=4)
