"""The product, its callers, and a second list of the policies of its hand-written operations."""

import pytest
from starlette.testclient import TestClient

from app.api import registry
from rowhouse.auth.models import ADMIN
from rowhouse.core.policy import ANYONE, SIGNED_IN
from tests.hand_written.conftest import callers_of
from tests.hand_written.policies import ACCOUNTS, AppUnderTest, Policies

PRODUCT: Policies = {
    **ACCOUNTS,
    ("GET", "/charge-points/{id}/availability"): ANYONE,
    ("POST", "/books/{id}/stock"): ADMIN,
    ("POST", "/cart-items"): SIGNED_IN,
    ("POST", "/orders"): SIGNED_IN,
}


@pytest.fixture(scope="module")
def tested(client: TestClient) -> AppUnderTest:
    """The product."""
    return AppUnderTest(client, registry, callers_of(client), PRODUCT)
