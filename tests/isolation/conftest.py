"""Fixtures: the applications and entities of the contract suite and the library, for the probes.

Each entity is probed on one of the databases, because no other tests take as long. A run by hand probes it on both:

    ISOLATION_DATABASES=both .venv/bin/python -m pytest tests/isolation tests/app/isolation
"""

import os
from collections.abc import Iterator

import pytest

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, database_of, settings_for, sign_in
from tests.contract.conftest import entity, odd_app, shop_app
from tests.contract.entity_client import RunningApp
from tests.contract.registrations import ACCOUNTS, SAMPLES, Api, Case, cases_of, chosen
from tests.databases import BACKENDS, Databases
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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of an entity on the database whose turn it is: every other entity of a registry has the same."""
    if os.environ.get("ISOLATION_DATABASES") != "both":
        items[:] = [item for item in items if database_of(item) in turn_of(item)]


def turn_of(item: pytest.Item) -> tuple[str, ...]:
    """The databases that a test runs on; it may be parametrized with none."""
    case = (
        item.callspec.params.get("entity") if isinstance(item, pytest.Function) and hasattr(item, "callspec") else None
    )
    if not isinstance(case, Case) or item.path.parent.name != "isolation":
        return (*BACKENDS, "")
    return (BACKENDS[list(case.api.registry.registrations).index(case.path) % len(BACKENDS)],)


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
