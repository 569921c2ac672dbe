"""Fixtures: the applications and entities of the contract suite, for the probes."""

from tests.contract.conftest import (
    entity,
    odd_app,
    pytest_generate_tests,
    pytest_pycollect_makeitem,
    running_apps,
    shop_app,
)

__all__ = ["entity", "odd_app", "pytest_generate_tests", "pytest_pycollect_makeitem", "running_apps", "shop_app"]
