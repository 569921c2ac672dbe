"""Production never serves the demo: the seed refuses, and so does the start on a database with demo accounts.

The demo is stored once for each database, in a template. Except in one test, the application has accounts and no other
entities.
"""

from typing import Any

import pytest
from sqlmodel import select
from starlette.testclient import TestClient

from app.demo import seed as program
from app.demo.accounts import ACCOUNTS, PASSWORD, DemoAccountsError
from app.demo.seed import NotDevelopmentError, seed
from app.main import create_app
from rowhouse.auth.accounts import include_accounts
from rowhouse.auth.models import User
from rowhouse.core.security import hash_password
from rowhouse.core.settings import Settings
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.registration.registry import Registry
from tests.app.demo.stored import store_the_demo
from tests.conftest import ADMIN_EMAIL, QUIET, migrate, sign_in
from tests.databases import Databases
from tests.fast_hashing import cheapen

PRODUCTION: dict[str, Any] = {"environment": "production", "jwt_secret": "x" * 32}
EMAILS = [email for email, _name, _role in ACCOUNTS]


@pytest.fixture(autouse=True)
def _cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes of few rounds."""
    cheapen(monkeypatch)


@pytest.fixture
def url(databases: Databases, backend: str) -> str:
    """An empty migrated database."""
    return databases.prepared(backend, "migrated", migrate)


@pytest.fixture
def demo_url(databases: Databases, backend: str) -> str:
    """A database that holds the demo."""
    return databases.prepared(backend, "demo", store_the_demo)


def settings_for(url: str, **changes: Any) -> Settings:
    """The settings on a database."""
    return Settings(database_url=url, **{**QUIET, **changes})


def start(url: str, **changes: Any) -> None:
    """Start an application with accounts alone and stop it."""
    registry = Registry()
    include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
    with TestClient(create_app(settings_for(url, **changes), registry)) as client:
        assert client.get("/health").status_code == 200


def change(url: str, action: Any) -> None:
    """Change the stored accounts, in one transaction."""
    database = Database(settings_for(url))
    with UnitOfWork(database, write=True) as unit:
        action(unit)
    database.dispose()


def set_passwords(url: str, emails: list[str], password: str) -> None:
    """Give accounts another password."""

    def set_all(unit: UnitOfWork) -> None:
        for user in unit.session.exec(select(User)).all():
            if user.email in emails:
                user.hashed_password = hash_password(password, cost=10)

    change(url, set_all)


def test_the_demo_is_not_stored_in_production(url: str) -> None:
    """Not even into an empty database, whoever calls it."""
    with pytest.raises(NotDevelopmentError, match="ENVIRONMENT is production"):
        seed(settings_for(url, **PRODUCTION))
    assert seed(settings_for(url)), "it was empty still"


def test_production_does_not_start_on_the_demo(demo_url: str) -> None:
    """It names the accounts and what to do; development starts."""
    with pytest.raises(DemoAccountsError) as refused:
        start(demo_url, **PRODUCTION)
    told = str(refused.value)
    assert all(email in told for email in EMAILS)
    assert "DATABASE_URL" in told
    assert PASSWORD not in told
    start(demo_url)


@pytest.mark.parametrize("email", EMAILS)
def test_one_account_of_the_demo_is_enough(demo_url: str, email: str) -> None:
    """The others have passwords of their own; the one that is left is named alone, disabled or not."""
    set_passwords(demo_url, [other for other in EMAILS if other != email], "a-word-of-their-own")

    def disable(unit: UnitOfWork) -> None:
        for user in unit.session.exec(select(User)).all():
            user.is_active = user.email != email

    change(demo_url, disable)
    with pytest.raises(DemoAccountsError, match=f"knows: {email}\\."):
        start(demo_url, **PRODUCTION)
    set_passwords(demo_url, [email], "a-word-of-its-own")
    start(demo_url, **PRODUCTION)


def test_the_first_administrator_gets_no_password_of_the_demo(url: str) -> None:
    """Neither is the account left behind: the start was refused as a whole."""
    admin = {"admin_email": EMAILS[0], "admin_password": PASSWORD}
    with pytest.raises(DemoAccountsError):
        start(url, **PRODUCTION, **admin)
    start(url, **PRODUCTION)


def test_other_accounts_start(url: str) -> None:
    """An administrator at the demo's address with a password of their own is no account of the demo."""
    admin = {"admin_email": ADMIN_EMAIL, "admin_password": "a-word-of-their-own"}
    with TestClient(create_app(settings_for(url, **PRODUCTION, **admin))) as client:
        sign_in(client, ADMIN_EMAIL, "a-word-of-their-own")


def test_a_database_without_tables_is_not_refused_for_its_demo(databases: Databases, backend: str) -> None:
    """Other tests check its errors."""
    start(databases.empty(backend), **PRODUCTION)


def test_the_program_prints_the_logins_that_work(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that it stored, later those whose password is still the demo's, and no heading without any."""
    monkeypatch.setenv("DATABASE_URL", url)
    assert program.main([]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Demo data stored.\nDemo logins:\n")
    assert [email for email in EMAILS if f" {email} " in told] == EMAILS
    set_passwords(url, EMAILS[:2], "a-word-of-their-own")
    assert program.main([]) == 0
    told = capsys.readouterr().out
    assert told.startswith("The database has accounts already; no demo data was stored.\nDemo logins:\n")
    assert [email for email in EMAILS if f" {email} " in told] == EMAILS[2:]
    set_passwords(url, EMAILS, "a-word-of-their-own")
    assert program.main([]) == 0
    assert capsys.readouterr().out == "The database has accounts already; no demo data was stored.\n"


@pytest.mark.parametrize(("given", "status"), [([], 1), (["--start"], 0)])
def test_the_program_refuses_outside_development(
    given: list[str], status: int, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends with 1, says why and prints no login. A start goes on."""
    monkeypatch.setenv("DATABASE_URL", url)
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name.upper(), value)
    assert program.main(given) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "The demo is stored in development only; ENVIRONMENT is production.\n"
