"""The OpenAPI documents of applications, each built once in a process."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from fastapi import FastAPI

from rowhouse.core.openapi import resolved
from rowhouse.core.settings import Settings
from tests.sample_entities.application import create_app, create_odd_app

Document = Mapping[str, Any]
# What makes an application from settings; the process names it when it serves it or asks for its document.
Factory = Callable[..., FastAPI]
SAMPLES: Mapping[str, Factory] = {"shop": create_app, "odd": create_odd_app}
SQLITE, POSTGRESQL = "sqlite:///none.db", "postgresql+psycopg://nobody@/none"  # neither is opened


@cache
def document_of(factory: Factory, database_url: str = SQLITE) -> Document:
    """Return the OpenAPI document of an application. The database is not opened."""
    return factory(Settings(database_url=database_url)).openapi()


@cache
def resolved_document(factory: Factory) -> Document:
    """Return the document without references to parameters, responses and headers."""
    return resolved(document_of(factory))
