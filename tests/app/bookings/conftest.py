"""Fixtures: the charging network, and a clock that stands still."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from starlette.testclient import TestClient

from rowhouse.core import security
from rowhouse.core.clock import set_clock
from tests.app.bookings.bookings_api import BookingsApi, Clock, Headers
from tests.conftest import sign_up


@pytest.fixture(scope="session")
def other_driver(client: TestClient) -> Headers:
    """The headers of a second driver."""
    return sign_up(client, "driver")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    """A clock for the application, slightly behind the true time.

    The sessions of the tests outlive the change of the clock.
    """
    monkeypatch.setattr(security, "_is_in_force", lambda _claims: True)
    standing = Clock(datetime.now(UTC).replace(microsecond=0))
    with set_clock(standing):
        yield standing


@pytest.fixture
def network(client: TestClient, clock: Clock, admin: Headers, driver: Headers) -> BookingsApi:
    """The charging network of the product."""
    return BookingsApi(client, clock, admin=admin, driver=driver)


@pytest.fixture
def point(network: BookingsApi) -> int:
    """A new charge point."""
    return network.add_point()
