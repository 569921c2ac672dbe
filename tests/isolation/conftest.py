"""Fixtures: the applications and entities of the contract suite and the library, for the probes."""

from collections.abc import Iterator

import pytest

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, settings_for, sign_in
from tests.contract.conftest import entity, odd_app, shop_app
from tests.contract.entity_client import RunningApp
from tests.contract.registrations import ACCOUNTS, SAMPLES, Api, cases_of, chosen
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.library.main import create_app, registry
from tests.sample_entities.library.models import create_tables

__all__ = ["entity", "odd_app", "shop_app"]  # fixtures

LIBRARY = Api("library", registry, create_app, ACCOUNTS, role="user")
# Of each kind one: the shop's bookings are those of the product, and the odd entities have the same rule.
CASES = [*(case for case in SAMPLES if case.path != "bookings"), *cases_of(LIBRARY)]


def pytest_pycollect_makeitem(name: str, obj: object) -> list[pytest.Item] | None:
    """Leave out tests that select none of the entities."""
    return [] if name.startswith("test") and chosen(obj, CASES) == [] else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test marked with `every_entity` once for each entity that it selects."""
    cases = chosen(metafunc.function, CASES)
    if cases is not None:
        metafunc.parametrize("entity", cases, indirect=True, ids=str)


@pytest.fixture(scope="session")
def library_app(databases: Databases, backend: str) -> Iterator[RunningApp]:
    """The library, whose rows are linked."""
    url = databases.prepared(backend, "library", create_tables)
    with QuickClient(create_app(settings_for(url))) as client:
        yield RunningApp(client, LIBRARY, sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))


@pytest.fixture(scope="session")
def running_apps(odd_app: RunningApp, shop_app: RunningApp, library_app: RunningApp) -> list[RunningApp]:
    """Each sample application."""
    return [odd_app, shop_app, library_app]
