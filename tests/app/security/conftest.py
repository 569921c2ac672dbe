"""The product on SQLite, for the tests of `tests.security`."""

from collections.abc import Callable

import pytest
from pydantic import SecretStr
from starlette.testclient import TestClient

from tests.app.contract.conftest import run_product
from tests.app.security.hand_written import PRODUCT_ROUTES
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in
from tests.security.hand_written import HandWritten
from tests.security.stage import SECRET, Stage


@pytest.fixture(scope="session")
def stage(make_app: Callable[..., TestClient]) -> Stage:
    """The product and its callers."""
    client = make_app("sqlite", jwt_secret=SecretStr(SECRET))
    return Stage(run_product(client, sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)))


@pytest.fixture(scope="session")
def routes() -> HandWritten:
    """What the product serves that is written by hand."""
    return PRODUCT_ROUTES
