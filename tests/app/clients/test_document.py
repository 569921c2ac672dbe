"""The tests of `tests.clients.test_document` over the product."""

from tests.clients.test_document import *
