"""The tests of `tests.contract.test_views` over the entities of the product."""

from tests.contract.test_views import *
