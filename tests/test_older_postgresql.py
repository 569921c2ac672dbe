"""Parts of the contract that could depend on the version, on PostgreSQL 16 of another wheel.

`scripts/test-world` runs the whole contract on Debian's 15 and behind poolers.
"""

import pytest

from tests.conftest import ROOT
from tests.world.nested import assert_passed, run_tests
from tests.world.services.wheels import postgresql_16

PARTS = ("tests/contract/test_filters.py", "tests/core/test_sql_functions.py")
MONEY = "tests/app/catalog/test_money.py"
HAS_MONEY = (ROOT / MONEY).exists()  # it goes together with the product
# A few tests for each of many entities; those that differ in their columns are enough here.
ENTITIES = (
    "sealed", "stations", "crates", "leaves", "parcels", "reserved", "notices", "seats", "periods", "veins", "branches", "exhibits",
    "bookings", "cart-items", "charge-points", "diaries", "grafts", "presets", "compartments", "orders", "reviews",
)  # fmt: skip
# These are answered before the database is asked, or look at the document alone.
WITHOUT_SQL = ("none_of_the_type", "operators_of_its_type", "no_utf_8", "without_search")
CHOSEN = " and ".join(["postgresql", *(f"not {name}" for name in (*ENTITIES, *WITHOUT_SQL))])
AT_LEAST = 50 if HAS_MONEY else 20


# The groups are run first, and this takes long.
@pytest.mark.xdist_group("clients")
def test_texts_times_and_decimals_are_the_same_on_postgresql_16() -> None:
    """Filters, searches, the folding of case, and money, as an ordinary role."""
    with postgresql_16() as wheel:
        environment = {"ROWHOUSE_TEST_POSTGRESQL": wheel.administrator_url}
        outcome = run_tests(*PARTS, *([MONEY] if HAS_MONEY else []), "-k", CHOSEN, environment=environment)
    assert_passed(outcome, at_least=AT_LEAST)
