"""The steps of bookings and orders parse their ids as the generated operations do."""

import pytest
from starlette.testclient import TestClient

from tests.contract.entity_client import Headers
from tests.hand_written.policies import API


@pytest.mark.parametrize("key", ["1.0", "%201", "+1", "x", "2147483648"])
def test_steps_of_the_product_are_strict(client: TestClient, admin: Headers, key: str) -> None:
    """As `GET /bookings/{id}` is, to the word."""
    for entity, steps in (("bookings", ("confirm", "cancel", "start", "complete")), ("orders", ("cancel", "ship"))):
        generated = client.get(f"{API}/{entity}/{key}", headers=admin)
        assert generated.status_code == 422
        for step in steps:
            answer = client.post(f"{API}/{entity}/{key}/{step}", headers=admin)
            assert (answer.status_code, answer.json()) == (422, generated.json())
