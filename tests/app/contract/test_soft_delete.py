"""The tests of `tests.contract.test_soft_delete` over the entities of the product."""

from tests.contract.test_soft_delete import *
