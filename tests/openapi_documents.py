"""The OpenAPI documents of the product and of the odd entities, built once in a process."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from app.api import registry as product_registry
from app.main import create_app
from rowhouse.core.settings import Settings
from tests.sample_entities.odd.base import metadata as odd_metadata
from tests.sample_entities.odd.registry import registry as odd_registry

Document = Mapping[str, Any]
DOCUMENTS = ("product", "odd")
SQLITE, POSTGRESQL = "sqlite:///none.db", "postgresql+psycopg://nobody@/none"  # none of them is opened


@cache
def document_of(name: str, database_url: str = SQLITE) -> Document:
    """The product's document, or that of the odd entities; no database is asked."""
    settings = Settings(database_url=database_url)
    if name == "product":
        return create_app(settings, product_registry).openapi()
    return create_app(settings, odd_registry, odd_metadata).openapi()
