"""The tests of `tests.contract.test_steps` over the entities of the product."""

from tests.contract.test_steps import *
