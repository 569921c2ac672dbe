"""The tests of `tests.contract.test_owners` over the entities of the product."""

from tests.contract.test_owners import *
