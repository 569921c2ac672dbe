"""The registry and the application of the classes with keys of every kind."""

from fastapi import FastAPI

import rowhouse
from rowhouse import ADMIN, ANYONE, SIGNED_IN, Registry, Settings, include_accounts
from tests.sample_entities.keys.models import (
    Channel,
    City,
    Country,
    Course,
    Enrolment,
    Favourite,
    Friendship,
    Grade,
    Hero,
    Holiday,
    Lease,
    Serial,
    Slug,
    Student,
    Ticket,
    Voucher,
    metadata,
)

registry = Registry("/api/v1")
include_accounts(registry)
registry.register(Hero, read=ANYONE, write=ADMIN, search=("name",), history=True)
registry.register(Country, read=ANYONE, write=ADMIN, search=("name", "code"), soft_delete=True, history=True)
registry.register(City, write=ADMIN, soft_delete=True)
registry.register(Voucher, write=ADMIN, history=True)
registry.register(Ticket, read=ANYONE, write=SIGNED_IN)
registry.register(Holiday, write=ADMIN, soft_delete=True, history=True)
registry.register(Channel, write=ADMIN)
registry.register(Slug, write=ADMIN, history=True)
registry.register(Serial, write=ADMIN)
registry.register(Student, write=ADMIN)
registry.register(Course, write=ADMIN)
registry.register(Enrolment, read=ANYONE, write=ADMIN, soft_delete=True, history=True)
registry.register(Grade, write=ADMIN)
registry.register(Friendship, write=ADMIN)
registry.register(Favourite, owner="user_id", soft_delete=True, history=True)
registry.register(Lease, write=ADMIN, exact_count_limit=1000)


def create_app(settings: Settings | None = None) -> FastAPI:
    """Return the application."""
    return rowhouse.create_app(registry, settings=settings, metadata=metadata, title="Keys")
