"""Rowhouse with ENTITIES entities: `uvicorn perf.app.micro.entities_app:create_app --factory`.

The additional classes are generated here, in metadata of their own. Their tables never exist: the measurement is of
what a registered entity costs before a table is read. Books are registered last, so a look-up that walked the entities
would walk all of them.
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
from rowhouse import ADMIN, ANYONE, Registry, include_accounts
from rowhouse.db.integrity import NAMING_CONVENTION
from rowhouse.entities.model import IntegerKey, Record

OWN_ENTITIES = 2


class GeneratedRecord(Record, registry=mapper_registry(metadata=sa.MetaData(naming_convention=NAMING_CONVENTION))):
    """`Record` in metadata of its own."""


def create_app() -> FastAPI:
    """Return the application. Reads ENTITIES, at least 2, and the settings."""
    registry = Registry("/api/v1")
    for number in range(int(os.environ["ENTITIES"]) - OWN_ENTITIES):
        registry.register(_generated_entity(number), read=ANYONE, write=ADMIN, search=("name", "remark"))
    include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
    registry.register(Category, read=ANYONE, write=ADMIN, search=("name",))
    registry.register(Book, read=ANYONE, write=ADMIN, search=("title", "author"), crud=BookCRUD)
    return create_rowhouse(registry=registry)


def _generated_entity(number: int) -> Any:
    """Return a table class of ordinary size. Its path has no prefix in common with another one's."""
    annotations = {"name": str, "remark": str | None, "amount": int, "ratio": float, "is_open": bool}
    body = {
        "__module__": __name__,
        "__doc__": "A generated entity.",
        "__annotations__": annotations,
        "name": Field(max_length=100, unique=True),
        "remark": Field(default=None, max_length=500),
        "amount": Field(default=0, ge=0),
        "ratio": 1.0,
        "is_open": True,
    }
    name = f"{_word(number)}Stall"
    return types.new_class(
        name, (IntegerKey, GeneratedRecord), {"table": True}, lambda namespace: namespace.update(body)
    )


def _word(number: int) -> str:
    """Return a word for a number below 17,576: `Aaa`, `Baa`, `Caa`."""
    letters = "".join(chr(ord("a") + number // 26**place % 26) for place in range(3))
    return letters.capitalize()
