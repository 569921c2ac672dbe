"""The tests of `tests.contract.test_lists` over the entities of the product."""

from tests.contract.test_lists import *
