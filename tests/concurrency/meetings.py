"""An application for races that the product does not have: meetings that never overlap and that can be restored."""

from fastapi import FastAPI

from rowhouse.auth.accounts import include_accounts
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.registration.registry import Registry
from tests.sample_entities.application import create_app
from tests.sample_entities.odd.base import metadata
from tests.sample_entities.odd.shapes import Meeting, Room

registry = Registry("/api/v1")
include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
registry.register(Meeting, read=ANYONE, write=SIGNED_IN, soft_delete=True)
registry.register(Room, read=ANYONE, write=SIGNED_IN)


def create() -> FastAPI:
    """The application, by the settings of its process."""
    return create_app(None, registry, metadata)
