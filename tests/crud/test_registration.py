"""A line that would not do what it says stops the start-up, and its message names the mend."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar

import pytest
import sqlalchemy as sa
from fastapi import APIRouter
from sqlalchemy.orm import registry as orm_registry
from sqlmodel import Field, SQLModel

from backend.core.db import create_engine
from backend.core.config import Settings
from backend.core.routing import Router
from backend.crud.base import CRUDBase
from backend.crud.model import READ_ONLY, SECRET, IntegerKey, Record
from backend.crud.policy import ANYONE, SIGNED_IN, role
from backend.crud.registry import Registry, public_schema
from backend.crud.schemas import RegistrationError


class Scratch(SQLModel, registry=orm_registry(metadata=sa.MetaData())):
    """A metadata for classes that no other test sees."""


class Draft(IntegerKey, Record, Scratch, table=True):
    """A class that can be registered."""

    title: str
    pages: int = 0
    owner_id: int | None = None
    api_key: Annotated[str, SECRET] = ""


def refused(model: type[SQLModel], **line: Any) -> str:
    """What the registry says against a line, of which nothing is kept."""
    registry = Registry()
    with pytest.raises(RegistrationError) as caught:
        registry.register(model, **line)
    assert registry.registrations == {}
    assert model.__name__ in str(caught.value)
    return str(caught.value)


def accepted(model: type[SQLModel], **line: Any) -> Registry:
    """A registry with this one line."""
    registry = Registry()
    registry.register(model, **line)
    return registry


def dialect() -> sa.Dialect:
    """One to build routes for."""
    return create_engine(Settings(database_url="sqlite:///unused.db")).dialect
