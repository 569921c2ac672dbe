"""The tests of `tests.contract.test_verbs` over the entities of the product."""

from tests.contract.test_verbs import *
