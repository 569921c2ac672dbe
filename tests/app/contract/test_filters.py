"""The tests of `tests.contract.test_filters` over the entities of the product."""

from tests.contract.test_filters import *
