"""The tests of `tests.security.test_hand_written` over the product."""

from tests.security.test_hand_written import *
