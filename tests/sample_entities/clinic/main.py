"""The clinic's registry, its rule for appointments, and its application."""

from datetime import timedelta
from typing import Annotated

from fastapi import FastAPI
from starlette.responses import Response

import rowhouse
from rowhouse import (
    ANYONE,
    SIGNED_IN,
    TAGGED,
    CRUDBase,
    InvalidInputError,
    Registry,
    Router,
    Row,
    Settings,
    Transition,
    UnitDep,
    UnitOfWork,
    crud_of,
    include_accounts,
    now,
    public_schema,
    role,
    row_id,
)
from tests.sample_entities.clinic.models import (
    Appointment,
    AppointmentStatus,
    Attachment,
    Invoice,
    InvoiceLine,
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


class AppointmentCRUD(CRUDBase[Appointment]):
    """Appointments: in the future, and not too long."""

    def validate(self, row: Appointment, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Refuse a time that is over, and one that ends before it starts or too late."""
        if stored is None and row.start_time < now():
            raise InvalidInputError.at("body", "start_time", message="must not be in the past")
        if not timedelta(0) < row.end_time - row.start_time <= LONGEST:
            raise InvalidInputError.at("body", "end_time", message="must be after start_time, at most two hours later")

    def advance(self, unit: UnitOfWork, key: int, transition: Transition[AppointmentStatus]) -> Row:
        """Take an appointment one step further."""
        stored = self.lock(unit, key)
        transition.check_caller(unit.caller)
        transition.check_source(stored["status"], "appointment")
        return self.update_locked(unit, stored, {"status": transition.target})


AppointmentsDep = Annotated[AppointmentCRUD, crud_of(Appointment)]
AppointmentId = Annotated[int, row_id("Appointment")]
appointments = Router(prefix="/appointments", tags=["appointments"])


@appointments.post("/{id}/confirm", response_model=public_schema(Appointment), responses={200: {"headers": TAGGED}})
def confirm_appointment(key: AppointmentId, found: AppointmentsDep, unit: UnitDep, response: Response) -> Row:
    """Confirm an appointment. Staff only."""
    row = found.advance(unit, key, CONFIRM)
    response.headers["ETag"] = found.version(row)
    return row


registry = Registry("/api/v1")
include_accounts(registry, roles=("vet",))
registry.register(Owner, write=STAFF, search=("name",))
registry.register(Pet, write=STAFF, search=("name",), history=True)
registry.register(Passport, write=STAFF)
registry.register(Vet, read=ANYONE, write=STAFF)
registry.register(Appointment, read=SIGNED_IN, owner="booked_by_id", crud=AppointmentCRUD)
registry.include(appointments)
registry.register(Invoice, read=STAFF, write=role("vet"), soft_delete=True, history=True)
registry.register(InvoiceLine, read=STAFF, write=STAFF)
registry.register(Attachment, owner="stored_by_id")
registry.register(Tag, read=ANYONE, write=STAFF, soft_delete=True)
registry.register(PetTag, write=STAFF)
registry.register(ServiceCategory, read=ANYONE, write=STAFF)
registry.register(Price, read=ANYONE, write=STAFF, operations=("list", "get"))


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the clinic's application."""
    return rowhouse.create_app(registry, settings=settings, metadata=metadata, title="Clinic")
