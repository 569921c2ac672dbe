"""The parts of the contract where versions of PostgreSQL could show, on the 16 of another wheel.

`scripts/test-world` runs the whole of it on Debian's 15, and behind poolers.
"""

import pytest

from tests.world.nested import assert_passed, run_tests
from tests.world.services.wheels import postgresql_16

PARTS = (
    "tests/contract/test_filters.py",
    "tests/core/test_folding.py",
    "tests/crud/test_cells.py",
    "tests/catalog/test_money.py",
)
# A few tests for each of many entities; those that differ in their columns are enough here.
LEFT_OUT = (
    "sealed", "stations", "crates", "leaves", "parcels", "reserved", "notices", "seats", "periods", "veins", "branches", "exhibits",
    "bookings", "cart-items", "charge-points",
)  # fmt: skip
CHOSEN = " and ".join(["postgresql", *(f"not {name}" for name in LEFT_OUT)])
AT_LEAST = 70


@pytest.mark.xdist_group("older")
def test_texts_times_and_decimals_are_the_same_on_postgresql_16() -> None:
    """Filters, searches, cells and money, as an ordinary role."""
    with postgresql_16() as wheel:
        environment = {"ROWHOUSE_TEST_POSTGRESQL": wheel.administrator_url}
        outcome = run_tests(*PARTS, "-k", CHOSEN, environment=environment)
    assert_passed(outcome, at_least=AT_LEAST)
