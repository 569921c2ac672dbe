"""The tests of `tests.contract.test_export` over the entities of the product."""

from tests.contract.test_export import *
