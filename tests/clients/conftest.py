"""Fixtures: the sample applications, which their documents must describe exactly."""

from collections.abc import Callable, Iterator

import pytest
from starlette.testclient import TestClient

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in
from tests.contract.entity_client import RunningApp
from tests.contract.registrations import ODD, SHOP
from tests.databases import Databases
from tests.openapi_documents import SAMPLES, Factory
from tests.sample_entities.opened import open_odd


@pytest.fixture(scope="module", params=SAMPLES)
def factory(request: pytest.FixtureRequest) -> Factory:
    """What makes each application of samples."""
    return SAMPLES[request.param]


@pytest.fixture(scope="module", params=["odd", "shop"])
def running_app(
    request: pytest.FixtureRequest, backend: str, make_app: Callable[..., TestClient], databases: Databases
) -> Iterator[RunningApp]:
    """Each application on each database, for one module alone: a probe may change an account."""
    if request.param == "shop":
        client = make_app(backend)
        yield RunningApp(client, SHOP, sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        return
    with open_odd(databases, backend) as client:
        yield RunningApp(client, ODD, sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
