"""The product on each database, for the tests of `tests.isolation`."""

from tests.app.product_cases import (
    entity,
    product_app,
    pytest_generate_tests,
    pytest_pycollect_makeitem,
    running_apps,
)
from tests.isolation.conftest import pytest_collection_modifyitems

__all__ = [
    "entity",
    "product_app",
    "pytest_collection_modifyitems",
    "pytest_generate_tests",
    "pytest_pycollect_makeitem",
    "running_apps",
]
