"""The documents and what is generated from them, once a session."""

import json
from pathlib import Path

import pytest

from tests.openapi_documents import DOCUMENTS, document_of


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `product.json` and `odd.json`, and room for what is made of them."""
    directory = tmp_path_factory.mktemp("clients")
    for name in DOCUMENTS:
        (directory / f"{name}.json").write_text(json.dumps(document_of(name)))
    return directory
