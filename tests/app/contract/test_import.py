"""The tests of `tests.contract.test_import` over the entities of the product."""

from tests.contract.test_import import *
