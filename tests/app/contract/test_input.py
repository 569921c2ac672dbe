"""The tests of `tests.contract.test_input` over the entities of the product."""

from tests.contract.test_input import *
