"""The tests of `tests.isolation.test_ownership` over the entities of the product."""

from tests.isolation.test_ownership import *
