"""The accounts of the demo, and the check that production never serves one of them.

Everybody knows their password, so a database that holds one has an open administrator. Must not store anything: `seed`
does.
"""

from typing import Any

import sqlalchemy as sa

from app.accounts import Role
from rowhouse import Environment, Settings, StartRefusedError, UnitOfWork, User, verify_password

PASSWORD = "rowhouse-demo"  # noqa: S105  # nosec B105  # printed on purpose; the demo is for a loopback address
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
    """Production must not start: the database holds accounts of the demo."""

    def __init__(self, emails: list[str]) -> None:
        super().__init__(
            "ENVIRONMENT=production, but the database holds demo accounts whose password everybody knows: "
            f"{', '.join(emails)}. Set DATABASE_URL to a database without the demo. Or start with "
            "ENVIRONMENT=development on 127.0.0.1, and delete each of them (DELETE /api/v1/users/{id}) or change its password "
            "(POST /api/v1/users/me/password)."
        )


def open_accounts(unit: UnitOfWork) -> list[str]:
    """Return the addresses of the demo's accounts that are stored and still have the demo's password.

    Hashes the password once for each account that is stored.
    """
    stored = {row["email"]: row["hashed_password"] for row in unit.fetch(SELECT_DEMO, {})}
    return [email for email, _name, _role in ACCOUNTS if email in stored and verify_password(PASSWORD, stored[email])]


def refuse_demo_accounts(unit: UnitOfWork, *, settings: Settings) -> None:
    """Check at the start that production has no account of the demo, disabled ones included.

    A database without tables has none.

    Raises:
        DemoAccountsError: naming the accounts and what to do.
    """
    if settings.environment is Environment.DEVELOPMENT or not sa.inspect(unit.thread_connection.connection).has_table(
        _users.name
    ):
        return
    found = open_accounts(unit)
    if found:
        raise DemoAccountsError(found)
