"""Rowhouse with a crowd of entities: `uvicorn perf.crowd:create_app --factory`, ENTITIES of them in all.

The crowd's classes are made here, in a metadata of their own whose tables never exist: they cost what registered entities cost
before a table is touched. Books are registered last, so that a look-up that walked the entities would walk them all.
"""

import os
import types
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.orm import registry as mapper_registry
from sqlmodel import Field

from app.catalog.models import Book, Category
from app.catalog.service import BookCRUD
from app.main import create_app as create_rowhouse
from rowhouse.auth.accounts import include_accounts
from rowhouse.auth.models import ADMIN
from rowhouse.core.policy import ANYONE
from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.registration.registry import Registry

OWN_ENTITIES = 2


class CrowdRecord(Record, registry=mapper_registry(metadata=sa.MetaData(naming_convention=NAMING_CONVENTION))):
    """`Record` in the crowd's metadata."""


def create_app() -> FastAPI:
    """The application; reads ENTITIES, at least 2, beside the settings."""
    table_of_contents = Registry("/api/v1")
    for number in range(int(os.environ["ENTITIES"]) - OWN_ENTITIES):
        table_of_contents.register(_crowd_entity(number), read=ANYONE, write=ADMIN, search=("name", "remark"))
    include_accounts(table_of_contents, roles=("driver",), sign_up=("user", "driver"), operations=())
    table_of_contents.register(Category, read=ANYONE, write=ADMIN, search=("name",))
    table_of_contents.register(Book, read=ANYONE, write=ADMIN, search=("title", "author"), crud=BookCRUD)
    return create_rowhouse(registry=table_of_contents)


def _crowd_entity(number: int) -> Any:
    """A table class of an everyday size; its path shares no beginning with another's."""
    annotations = {"name": str, "remark": str | None, "amount": int, "ratio": float, "is_open": bool}
    body = {
        "__module__": __name__,
        "__doc__": "One of the crowd.",
        "__annotations__": annotations,
        "name": Field(max_length=100, unique=True),
        "remark": Field(default=None, max_length=500),
        "amount": Field(default=0, ge=0),
        "ratio": 1.0,
        "is_open": True,
    }
    name = f"{_word(number)}Stall"
    return types.new_class(name, (IntegerKey, CrowdRecord), {"table": True}, lambda namespace: namespace.update(body))


def _word(number: int) -> str:
    """A word of letters for a number below 17,576: `Aaa`, `Baa`, `Caa`."""
    letters = "".join(chr(ord("a") + number // 26**place % 26) for place in range(3))
    return letters.capitalize()
