"""The accounts of the demo, and the check that production never serves one of them.

Everybody knows their password, so in a database with one of them anybody can be administrator. This module stores
nothing; `seed` does.
"""

from typing import Any

import sqlalchemy as sa

from app.accounts import Role
from rowhouse import Environment, Settings, StartRefusedError, UnitOfWork, User, verify_password

PASSWORD = "rowhouse-demo"  # noqa: S105  # nosec B105  # printed on purpose: the demo listens on loopback
ACCOUNTS = (
    ("admin@example.com", "Ada Keeper", Role.ADMIN),
    ("driver@example.com", "Dora Voss", Role.DRIVER),
    ("second.driver@example.com", "Émile Laurent", Role.DRIVER),
    ("reader@example.com", "Rita Page", Role.USER),
)
_users: sa.Table = User.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
SELECT_DEMO: sa.Select[Any] = sa.select(_users.c.email, _users.c.hashed_password).where(
    _users.c.email.in_([email for email, _name, _role in ACCOUNTS])
)


class DemoAccountsError(StartRefusedError):
    """Production must not start: the database holds demo accounts."""

    def __init__(self, emails: list[str]) -> None:
        super().__init__(
            "ENVIRONMENT=production, but the database holds demo accounts whose password everybody knows: "
            f"{', '.join(emails)}. Set DATABASE_URL to a database without the demo. Or start with "
            "ENVIRONMENT=development on 127.0.0.1, and delete each of them (DELETE /api/v1/users/{id}) or change its "
            "password (POST /api/v1/users/me/password)."
        )


def open_accounts(unit: UnitOfWork) -> list[str]:
    """Return the addresses of the demo accounts that are stored and still have the demo password.

    Hash the password once for each stored account.
    """
    stored = {row["email"]: row["hashed_password"] for row in unit.fetch(SELECT_DEMO, {})}
    return [email for email, _name, _role in ACCOUNTS if email in stored and verify_password(PASSWORD, stored[email])]


def refuse_demo_accounts(unit: UnitOfWork, *, settings: Settings) -> None:
    """Refuse to start production on a database with demo accounts, disabled ones included.

    Accept a database without tables.

    Raises:
        DemoAccountsError: with the accounts, and what to do.
    """
    if settings.environment is Environment.DEVELOPMENT or not sa.inspect(unit.thread_connection.connection).has_table(
        _users.name
    ):
        return
    found = open_accounts(unit)
    if found:
        raise DemoAccountsError(found)
