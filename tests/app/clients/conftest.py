"""Fixtures: the OpenAPI documents and the generated clients, made once a session."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from app.main import create_app
from tests.app.product_cases import run_product
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in
from tests.contract.entity_client import RunningApp
from tests.openapi_documents import Factory, document_of
from tests.sample_entities.application import create_odd_app

DOCUMENTS: Mapping[str, Factory] = {"product": create_app, "odd": create_odd_app}


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `product.json` and `odd.json`, and room for what is made of them."""
    directory = tmp_path_factory.mktemp("clients")
    for name, factory in DOCUMENTS.items():
        (directory / f"{name}.json").write_text(json.dumps(document_of(factory)))
    return directory


@pytest.fixture(scope="module", params=["product"])
def factory() -> Factory:
    """What makes the product."""
    return create_app


@pytest.fixture(scope="module")
def running_app(backend: str, make_app: Callable[..., TestClient]) -> RunningApp:
    """The product on each database, for one module alone: a probe may change an account."""
    client = make_app(backend)
    return run_product(client, sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
