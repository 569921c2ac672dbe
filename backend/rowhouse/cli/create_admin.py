"""Creates an administrator: `rowhouse create-admin --email boss@example.com`, or `scripts/create-admin`.

Reads the password from ADMIN_PASSWORD or asks for it. It is never an argument, because every user of the machine can
read those. Exits with 0 if the account is an administrator, with 1 and one sentence on standard error if nothing was
changed, and with 2 for wrong arguments.
"""

import argparse
import getpass
import sys
from collections.abc import Sequence
from typing import Any, Self

from pydantic import TypeAdapter, ValidationError, model_validator
from sqlalchemy.exc import ArgumentError
from sqlmodel import select

from rowhouse.auth.models import ADMINISTRATOR, User
from rowhouse.auth.routes import Email, FullName, Password
from rowhouse.auth.service import sign_up
from rowhouse.cli.errors import CommandError
from rowhouse.cli.serve import explained
from rowhouse.core.clock import now
from rowhouse.core.error_causes import cause_of
from rowhouse.core.errors import RowhouseError, UnavailableError, message_of
from rowhouse.core.security import hash_password
from rowhouse.core.settings import Settings
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.health.migration_state import Revisions
from rowhouse.health.readiness import stored_revisions

INTERNAL_ERROR = 500


class CommandSettings(Settings):
    """The settings. Allows ADMIN_PASSWORD without ADMIN_EMAIL, because the address is an argument."""

    @model_validator(mode="after")
    def _check_administrator(self) -> Self:
        """Replace the check of the settings: the password is checked when it is used."""
        return self


def _read_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="rowhouse create-admin", description="Creates an administrator, or makes an existing account one."
    )
    parser.add_argument("--email", help="the address; ADMIN_EMAIL unless given")
    parser.add_argument("--full-name", default="Administrator", help="the name on a new account")
    parser.add_argument("--promote", action="store_true", help="do not ask before an existing account gets the role")
    return parser.parse_args(arguments)


def _valid(kind: Any, value: str, *, what: str) -> str:
    try:
        checked: str = TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise CommandError(f"{what}: {message_of(error.errors()[0])}") from None
    return checked


def _look(database: Database, email: str) -> User | None:
    """Return the account of the address, in a database that is migrated."""
    try:
        with UnitOfWork(database, write=False) as unit:
            _check_migrated(unit)
            return _find(unit, email)
    except UnavailableError as error:
        raise CommandError("The database does not answer; look at DATABASE_URL.") from error


def _check_migrated(unit: UnitOfWork) -> None:
    stored, revisions = stored_revisions(unit), Revisions.of_the_code()
    mismatch = revisions.mismatch(stored) if revisions is not None else None
    if mismatch is not None or not stored:
        raise CommandError(
            mismatch or "The database was never migrated; run rowhouse migrate in the folder of the project."
        )


def _find(unit: UnitOfWork, email: str) -> User | None:
    return unit.session.exec(select(User).where(User.email == email)).one_or_none()


def _ask_password() -> str:
    if not sys.stdin.isatty():
        raise CommandError("Set ADMIN_PASSWORD, or run this in a terminal, where the password can be asked for.")
    password = getpass.getpass("Password: ")
    if getpass.getpass("The same again: ") != password:
        raise CommandError("The two passwords differ.")
    return password


def _create(database: Database, email: str, full_name: str, password: str) -> str:
    hashed = hash_password(password, cost=database.settings.bcrypt_cost)
    with UnitOfWork(database, write=True) as unit:
        sign_up(unit.session, User(email=email, full_name=full_name, role=ADMINISTRATOR, hashed_password=hashed))
    return f"{email} is an administrator now."


def _confirm(user: User, *, promote: bool) -> None:
    state = f"role {user.role}" if user.is_active else f"role {user.role}, disabled"
    question = f"{user.email} has an account already ({state}); its password stays as it is."
    if promote:
        return
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Add --promote to make it an administrator.")
    if input(f"{question} Make it an administrator? [y/N] ").strip().lower() not in ("y", "yes"):
        raise CommandError("Nothing was changed.")


def _promote(database: Database, email: str) -> str:
    with UnitOfWork(database, write=True) as unit:
        user = _find(unit, email)
        if user is None:
            raise CommandError("The account was deleted meanwhile; nothing was changed.")
        user.role, user.is_active, user.updated_at = ADMINISTRATOR, True, now()
    return f"{email} had an account and is an administrator now; its password is as it was."


def _run(options: argparse.Namespace) -> str:
    settings = CommandSettings()
    given = options.email or settings.admin_email
    if not given:
        raise CommandError("Say which address: --email, or ADMIN_EMAIL.")
    email = _valid(Email, given, what="--email")
    full_name = _valid(FullName, options.full_name, what="--full-name")
    database = Database(settings)
    try:
        user = _look(database, email)
        if user is None:
            password = settings.admin_password.get_secret_value() if settings.admin_password else _ask_password()
            return _create(database, email, full_name, _valid(Password, password, what="The password"))
        if user.role == ADMINISTRATOR and user.is_active:
            return f"{email} is an administrator already; nothing was changed."
        _confirm(user, promote=options.promote)
        return _promote(database, email)
    finally:
        database.dispose()


def main(arguments: Sequence[str] | None = None) -> int:
    """Create the administrator and say so. Return the exit status."""
    options = _read_arguments(arguments)
    try:
        sys.stdout.write(f"{_run(options)}\n")
    except CommandError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except RowhouseError as error:
        cause = cause_of(error).get("message") if error.status >= INTERNAL_ERROR else None
        sys.stderr.write(f"The database says: {cause}. Look at DATABASE_URL.\n" if cause else f"{error}\n")
        return 1
    except (ValueError, ArgumentError) as error:
        sys.stderr.write(f"{explained(error)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
