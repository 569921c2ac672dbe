"""The clinic's registry, its rule for appointments, and its application."""

from datetime import timedelta

from fastapi import FastAPI

import rowhouse
from rowhouse import (
    ANYONE,
    SIGNED_IN,
    CRUDBase,
    InvalidInputError,
    Registry,
    Row,
    Settings,
    Transition,
    TransitionError,
    UnitOfWork,
    include_accounts,
    now,
    role,
)
from tests.sample_entities.clinic.models import (
    LIVE,
    Appointment,
    AppointmentStatus,
    Attachment,
    Complaint,
    Invoice,
    InvoiceLine,
    Note,
    Owner,
    Passport,
    Pet,
    PetTag,
    Price,
    ServiceCategory,
    Tag,
    Vet,
    metadata,
)

STAFF = role("vet", "admin")
LONGEST = timedelta(hours=2)
CONFIRM = Transition("confirm", (AppointmentStatus.REQUESTED,), AppointmentStatus.CONFIRMED, policy=STAFF)
CANCEL = Transition("cancel", LIVE, AppointmentStatus.CANCELLED)
REOPEN = Transition("reopen", (AppointmentStatus.CANCELLED,), AppointmentStatus.REQUESTED)


def require_begun(stored: Row, _unit: UnitOfWork) -> None:
    """Refuse to finish an appointment before it begins."""
    if now() < stored["start_time"]:
        raise TransitionError("An appointment is finished once it has begun.")


FINISH = Transition("finish", LIVE, AppointmentStatus.DONE, policy=STAFF, check=require_begun)


class AppointmentCRUD(CRUDBase[Appointment]):
    """Appointments: in the future, and not too long."""

    def validate(self, row: Appointment, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Refuse a time that is over, and one that ends before it starts or too late."""
        if stored is None and row.start_time < now():
            raise InvalidInputError.at("body", "start_time", message="must not be in the past")
        if not timedelta(0) < row.end_time - row.start_time <= LONGEST:
            raise InvalidInputError.at("body", "end_time", message="must be after start_time, at most two hours later")


registry = Registry("/api/v1")
include_accounts(registry, roles=("vet",))
registry.register(Owner, write=STAFF, search=("name",))
registry.register(Pet, write=STAFF, search=("name",), history=True)
registry.register(Passport, write=STAFF)
registry.register(Vet, read=ANYONE, write=STAFF)
registry.register(
    Appointment, read=SIGNED_IN, owner="booked_by_id", crud=AppointmentCRUD, steps=(CONFIRM, FINISH, CANCEL, REOPEN)
)
registry.register(Invoice, read=STAFF, write=role("vet"), soft_delete=True, history=True)
registry.register(InvoiceLine, read=STAFF, write=STAFF)
registry.register(Attachment, owner="stored_by_id")
registry.register(Tag, read=ANYONE, write=STAFF, soft_delete=True)
registry.register(PetTag, write=STAFF)
registry.register(ServiceCategory, read=ANYONE, write=STAFF)
registry.register(Price, read=ANYONE, write=STAFF, operations=("list", "get"))
registry.register(Note, owner="author_id", search=("text",), operations=("create", "list"), history=True)
registry.register(Complaint, owner="made_by_id", operations=("create",))


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the clinic's application."""
    return rowhouse.create_app(registry, settings=settings, metadata=metadata, title="Clinic")
