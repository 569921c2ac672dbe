"""The tests of `tests.admin.test_every_entity` over the entities of the product."""

from tests.admin.test_every_entity import *
