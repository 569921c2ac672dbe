"""`rowhouse create-admin` creates an administrator, or changes nothing and says why."""

import getpass
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from rowhouse.cli import create_admin
from rowhouse.core.security import verify_password
from rowhouse.core.settings import Settings
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.health.migration_state import Revisions
from tests.auth.conftest import new_email
from tests.conftest import PASSWORD, migrate
from tests.databases import Databases

Run = Callable[..., tuple[int, str, str]]
Accounts = Callable[[], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def url(backend: str, databases: Databases) -> str:
    """The URL of a migrated database that the tests share."""
    return databases.prepared(backend, "migrated", migrate)


@pytest.fixture(autouse=True)
def _environment(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Set the database and nothing else: no `.env`, and no terminal."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "stdin", StringIO())


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run(*arguments)` returns the exit status, standard output and standard error."""

    def call(*arguments: str) -> tuple[int, str, str]:
        code = create_admin.main(arguments)
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def email() -> str:
    """An address that no other test uses."""
    return new_email("boss")


@pytest.fixture
def accounts(url: str, email: str) -> Iterator[Accounts]:
    """`accounts()` returns the stored accounts of the address."""
    database = Database(Settings(database_url=url))

    def find() -> list[dict[str, Any]]:
        with UnitOfWork(database, write=False) as unit:
            rows = unit.session.execute(sa.text("SELECT * FROM users WHERE email = :email"), {"email": email})
            return [dict(row) for row in rows.mappings()]

    yield find
    database.dispose()


@pytest.fixture
def change(url: str, email: str) -> Callable[[str], None]:
    """`change(statement)` changes the account in the database."""

    def execute(statement: str) -> None:
        database = Database(Settings(database_url=url))
        with UnitOfWork(database, write=True) as unit:
            unit.session.execute(sa.text(f"{statement} WHERE email = :email"), {"email": email})
        database.dispose()

    return execute


@pytest.fixture
def demoted(run: Run, email: str, change: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """A plain user with the address."""
    with monkeypatch.context() as patch:
        patch.setenv("ADMIN_PASSWORD", PASSWORD)
        assert run("--email", email)[0] == 0
    change("UPDATE users SET role = 'user'")


def at_a_terminal(monkeypatch: pytest.MonkeyPatch, *passwords: str, answer: str = "") -> list[str]:
    """Answer the questions of a terminal, and record them."""
    asked: list[str] = []
    left = iter(passwords)

    def ask(question: str) -> str:
        asked.append(question)
        return answer

    def ask_password(question: str) -> str:
        asked.append(question)
        return next(left)

    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr(getpass, "getpass", ask_password)
    return asked


def test_it_makes_an_administrator(run: Run, accounts: Accounts, email: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From ADMIN_PASSWORD, with the address in lower case. A second call changes nothing."""
    monkeypatch.setenv("ADMIN_PASSWORD", PASSWORD)
    assert run("--email", email.upper(), "--full-name", "Ann Boss") == (0, f"{email} is an administrator now.\n", "")
    (row,) = accounts()
    assert (row["role"], row["full_name"], bool(row["is_active"])) == ("admin", "Ann Boss", True)
    assert verify_password(PASSWORD, row["hashed_password"])
    monkeypatch.setenv("ADMIN_PASSWORD", "another-password")
    assert run("--email", email) == (0, f"{email} is an administrator already; nothing was changed.\n", "")
    assert accounts() == [row]


def test_the_address_may_be_a_setting(
    run: Run, accounts: Accounts, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As at the first start of the server."""
    monkeypatch.setenv("ADMIN_EMAIL", email)
    monkeypatch.setenv("ADMIN_PASSWORD", PASSWORD)
    assert run()[0] == 0
    assert [row["role"] for row in accounts()] == ["admin"]


def test_the_password_is_asked_for_twice(
    run: Run, accounts: Accounts, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a terminal. Two different answers create no account."""
    at_a_terminal(monkeypatch, PASSWORD, "correct-hose")
    assert run("--email", email) == (1, "", "The two passwords differ.\n")
    assert accounts() == []
    at_a_terminal(monkeypatch, PASSWORD, PASSWORD)
    assert run("--email", email)[0] == 0
    assert verify_password(PASSWORD, accounts()[0]["hashed_password"])


def test_it_takes_no_password_as_an_argument(run: Run, email: str) -> None:
    """Every user of the machine could read it."""
    with pytest.raises(SystemExit) as ended:
        run("--email", email, "--password", PASSWORD)
    assert ended.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "password", "message"),
    [
        ([], PASSWORD, "Say which address"),
        (["--email", "boss"], PASSWORD, "--email: value is not a valid email address"),
        (["--email", "Ann <ann@example.com>"], PASSWORD, "--email: write the address alone"),
        (
            ["--email", "boss@example.com", "--full-name", " " * 201],
            PASSWORD,
            "--full-name: String should have at most",
        ),
        (["--email", "boss@example.com"], "7 chars", "The password: String should have at least 8 characters"),
        (["--email", "boss@example.com"], "é" * 37, "The password: a password has at most 72 bytes"),
        (["--email", "boss@example.com"], None, "Set ADMIN_PASSWORD, or run this in a terminal"),
    ],
)
def test_wrong_arguments_are_refused(
    run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], password: str | None, message: str
) -> None:
    """With a sentence that says what to change and never contains the password."""
    if password is not None:
        monkeypatch.setenv("ADMIN_PASSWORD", password)
    code, written, told = run(*arguments)
    assert (code, written) == (1, "")
    assert told.startswith(message)
    assert password is None or password not in told


@pytest.mark.parametrize("state", ["role = 'user'", "is_active = false", "role = 'admin', is_active = false"])
@pytest.mark.usefixtures("demoted")
def test_an_account_that_is_there_is_asked_about(
    run: Run, accounts: Accounts, email: str, monkeypatch: pytest.MonkeyPatch, *, change: Any, state: str
) -> None:
    """It shows the account and asks whether to promote it. The password stays."""
    change(f"UPDATE users SET {state}")  # noqa: S608  the cases above
    (before,) = accounts()
    assert "Add --promote" in run("--email", email)[2]
    asked = at_a_terminal(monkeypatch, answer="n")
    assert run("--email", email) == (1, "", "Nothing was changed.\n")
    assert (before["role"] in asked[0], "disabled" in asked[0]) == (True, "is_active" in state)
    assert accounts() == [before]
    at_a_terminal(monkeypatch, answer="Y")
    assert run("--email", email)[0] == 0
    (after,) = accounts()
    assert (after["role"], bool(after["is_active"])) == ("admin", True)
    assert {name for name in after if after[name] != before[name]} <= {"role", "is_active", "updated_at"}


@pytest.mark.usefixtures("demoted")
def test_promote_does_not_ask(run: Run, accounts: Accounts, email: str) -> None:
    """For scripts."""
    told = f"{email} had an account and is an administrator now; its password is as it was.\n"
    assert run("--email", email, "--promote") == (0, told, "")
    assert [row["role"] for row in accounts()] == ["admin"]


@pytest.mark.usefixtures("demoted")
def test_an_address_that_is_taken_meanwhile(
    run: Run, accounts: Accounts, email: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other account stays as it is."""
    monkeypatch.setattr(create_admin, "_look", lambda *_: None)
    monkeypatch.setenv("ADMIN_PASSWORD", "another-password")
    assert run("--email", email) == (1, "", "User with this email already exists\n")
    assert [row["role"] for row in accounts()] == ["user"]


@pytest.mark.usefixtures("demoted")
def test_an_account_that_is_deleted_meanwhile(
    run: Run, accounts: Accounts, email: str, monkeypatch: pytest.MonkeyPatch, *, change: Any
) -> None:
    """It is not created again."""
    monkeypatch.setattr(create_admin, "_confirm", lambda *_, **__: change("DELETE FROM users"))
    assert run("--email", email) == (1, "", "The account was deleted meanwhile; nothing was changed.\n")
    assert accounts() == []


def test_a_database_that_is_not_migrated(
    run: Run, email: str, backend: str, databases: Databases, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says what to run."""
    monkeypatch.setenv("DATABASE_URL", databases.empty(backend))
    monkeypatch.setenv("ADMIN_PASSWORD", PASSWORD)
    code, _, told = run("--email", email)
    assert (code, "rowhouse migrate" in told) == (1, True)


def test_a_database_that_is_behind(run: Run, email: str, accounts: Accounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for one that was never migrated."""
    monkeypatch.setattr(create_admin, "stored_revisions", lambda _unit: frozenset())
    monkeypatch.setenv("ADMIN_PASSWORD", PASSWORD)
    assert "rowhouse migrate" in run("--email", email)[2]
    monkeypatch.setattr(Revisions, "of_the_code", lambda: None)
    assert "never migrated" in run("--email", email)[2]
    assert accounts() == []


def test_a_database_that_does_not_answer(run: Run, email: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to check."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert run("--email", email) == (1, "", "The database does not answer; look at DATABASE_URL.\n")


@pytest.mark.parametrize(
    ("url", "said"), [("mysql://x/y", "must begin with sqlite:///"), ("nonsense", "is no URL; write")]
)
def test_an_address_that_is_none(run: Run, email: str, monkeypatch: pytest.MonkeyPatch, url: str, said: str) -> None:
    """One line."""
    monkeypatch.setenv("DATABASE_URL", url)
    code, _, told = run("--email", email)
    assert (code, said in told, told.count("\n")) == (1, True, 1)


def test_a_database_of_something_else(run: Run, email: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has revisions, and no accounts. The message is the database's."""
    with closing(sqlite3.connect(tmp_path / "other.db")) as other, other:
        other.execute("CREATE TABLE alembic_version (version_num TEXT)")
        other.execute("INSERT INTO alembic_version VALUES ('another')")
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    assert run("--email", email) == (1, "", "The database says: no such table: users. Look at DATABASE_URL.\n")


def test_invalid_settings_are_refused(run: Run, email: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is that of the server's start."""
    monkeypatch.setenv("ENVIRONMENT", "production")
    assert "set JWT_SECRET outside development" in run("--email", email)[2]
