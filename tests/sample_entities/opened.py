"""The odd registry and the classes with other keys, each in a running application."""

from contextlib import AbstractContextManager

from pydantic import SecretStr
from starlette.testclient import TestClient

from rowhouse.core.settings import Settings
from rowhouse.registration.registry import Registry
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_odd_app
from tests.sample_entities.keys.main import create_app as create_keys_app
from tests.sample_entities.keys.models import metadata as keys_metadata
from tests.sample_entities.odd.registry import create_tables, registry


def open_odd(databases: Databases, backend: str, contents: Registry = registry) -> AbstractContextManager[TestClient]:
    """A client of the odd application on a database of its own."""
    url = databases.prepared(backend, "odd", create_tables)
    return QuickClient(create_odd_app(_settings(url), contents))


def open_keys(databases: Databases, backend: str) -> AbstractContextManager[TestClient]:
    """A client of the application of keys of every kind, on a database of its own."""
    url = databases.prepared(backend, "keys", keys_metadata.create_all)
    return QuickClient(create_keys_app(_settings(url)))


def _settings(url: str) -> Settings:
    password = SecretStr(ADMIN_PASSWORD)
    return Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=password, **QUIET)
