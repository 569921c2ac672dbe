"""The tests of `tests.contract.test_problems` over the entities of the product."""

from tests.contract.test_problems import *
