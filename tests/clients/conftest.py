"""The documents and what is generated from them, once a session."""

import json
from collections.abc import Mapping
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


def document_of(name: str, database_url: str) -> Document:
    """The product's document, or that of the odd entities; no database is asked."""
    settings = Settings(database_url=database_url)
    if name == "product":
        return create_app(settings, product_registry).openapi()
    return create_app(settings, odd_registry, odd_metadata).openapi()


@pytest.fixture(scope="package")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `product.json` and `odd.json`, and room for what is made of them."""
    directory = tmp_path_factory.mktemp("clients")
    for name in DOCUMENTS:
        document = document_of(name, f"sqlite:///{directory}/none.db")
        (directory / f"{name}.json").write_text(json.dumps(document))
    return directory
