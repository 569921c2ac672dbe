"""The product on SQLite, for the tests of `tests.security`."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from tests.app.conftest import product_client
from tests.app.product_cases import run_product
from tests.app.security.hand_written import PRODUCT_ROUTES
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in
from tests.databases import Databases
from tests.security.attacked_app import SECRET, AttackedApp
from tests.security.hand_written import HandWritten


@pytest.fixture(scope="session")
def attacked(databases: Databases) -> Iterator[AttackedApp]:
    """The product and its callers."""
    with product_client(databases, "sqlite", jwt_secret=SecretStr(SECRET)) as client:
        yield AttackedApp(run_product(client, sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)))


@pytest.fixture(scope="session")
def routes() -> HandWritten:
    """What the product serves that is written by hand."""
    return PRODUCT_ROUTES
