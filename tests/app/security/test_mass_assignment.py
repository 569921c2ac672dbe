"""The tests of `tests.security.test_mass_assignment` over the product."""

from tests.security.test_mass_assignment import *
