"""The odd registry in a running application."""

from contextlib import AbstractContextManager

from pydantic import SecretStr
from starlette.testclient import TestClient

from rowhouse.core.settings import Settings
from rowhouse.registration.registry import Registry
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_odd_app
from tests.sample_entities.odd.registry import create_tables, registry


def open_odd(databases: Databases, backend: str, contents: Registry = registry) -> AbstractContextManager[TestClient]:
    """A client of the odd application on a database of its own."""
    url = databases.prepared(backend, "odd", create_tables)
    password = SecretStr(ADMIN_PASSWORD)
    settings = Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=password, **QUIET)
    return QuickClient(create_odd_app(settings, contents))
