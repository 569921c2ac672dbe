"""The tests of `tests.hand_written.test_every_operation` over the product."""

from tests.hand_written.test_every_operation import *
