"""Rowhouse with accounts and one entity, behind a fault that FAULT names: small enough to be loaded in a few seconds."""

import os

from app.catalog.models import Category
from app.main import create_app as create_rowhouse
from perf.load.fault_injection import Faulty
from rowhouse.auth.accounts import include_accounts
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.registration.registry import Registry


def create_app() -> Faulty:
    """The application."""
    registry = Registry()
    include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
    registry.register(Category, read=ANYONE, write=SIGNED_IN, operations=("list", "get", "create"), slo_ms=240)
    return Faulty(create_rowhouse(registry=registry), os.environ["FAULT"])
