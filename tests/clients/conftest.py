"""The documents and what is generated from them, once a session."""

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from backend.api import registry as product_registry
from backend.core.config import Settings
from backend.main import create_app
from tests.odd.base import metadata as odd_metadata
from tests.odd.registry import registry as odd_registry

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


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `product.json` and `odd.json`, and room for what is made of them."""
    directory = tmp_path_factory.mktemp("clients")
    for name in DOCUMENTS:
        (directory / f"{name}.json").write_text(json.dumps(document_of(name)))
    return directory
