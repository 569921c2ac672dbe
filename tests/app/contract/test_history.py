"""The tests of `tests.contract.test_history` over the entities of the product."""

from tests.contract.test_history import *
