"""The applications and entities of the contract suite, which the probes run over."""

from tests.contract.conftest import (
    entity,
    odd_app,
    pytest_generate_tests,
    pytest_pycollect_makeitem,
    running_apps,
    shop_app,
)

__all__ = ["entity", "odd_app", "pytest_generate_tests", "pytest_pycollect_makeitem", "running_apps", "shop_app"]
