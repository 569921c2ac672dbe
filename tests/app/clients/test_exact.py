"""The tests of `tests.clients.test_exact` over the product."""

from tests.clients.test_exact import *
