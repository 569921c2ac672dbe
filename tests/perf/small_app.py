"""Accounts and one entity, with the fault in FAULT. It creates its own tables, and can be loaded in a few seconds."""

import os

import sqlalchemy as sa

import rowhouse
from perf.load.fault_injection import FaultInjector
from rowhouse import ANYONE, SIGNED_IN, Registry, Settings, include_accounts
from tests.sample_entities.odd.base import OddEntity, metadata


class Shelf(OddEntity, table=True):
    """A shelf."""

    label: str


def create_app() -> FaultInjector:
    """Return the application."""
    registry = Registry("/api/v1")
    include_accounts(registry, operations=())
    registry.register(Shelf, read=ANYONE, write=SIGNED_IN, operations=("list", "get", "create"), slo_ms=240)
    settings = Settings()
    engine = sa.create_engine(settings.database_url)
    metadata.create_all(engine)
    engine.dispose()
    return FaultInjector(rowhouse.create_app(registry, settings=settings, metadata=metadata), os.environ["FAULT"])
