"""The tests of `tests.contract.test_conflicts` over the entities of the product."""

from tests.contract.test_conflicts import *
