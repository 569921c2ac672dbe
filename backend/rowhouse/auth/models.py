"""Accounts and their refresh tokens."""

from datetime import datetime
from enum import Enum
from typing import Annotated, Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field

from rowhouse.core.policy import role
from rowhouse.core.security import Caller
from rowhouse.db.sql_functions import portable_text
from rowhouse.entities.model import READ_ONLY, SECRET, Entity
from rowhouse.entities.search_index import SearchIndex

# The roles of every project. `include_accounts(roles=…)` adds the project's own.
USER, ADMINISTRATOR = "user", "admin"
ADMIN = role(ADMINISTRATOR)
"""The policy that requires the role `admin`.

Example:
    registry.register(Category, read=ANYONE, write=ADMIN)
"""


class RoleText(sa.types.TypeDecorator[str]):
    """The name of a role. The project declares the roles, so the table does not limit them."""

    impl = sa.String
    cache_ok = True

    def __init__(self) -> None:
        super().__init__(length=32)

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return text with the collation that orders by code point."""
        return dialect.type_descriptor(portable_text(32).dialect_impl(dialect))

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:  # noqa: ARG002  SQLAlchemy's signature
        """Store the name of a role, or of a member of an enum."""
        return value if value is None else str(value.value if isinstance(value, Enum) else value)


class User(Entity, table=True):
    """An account. Its address is stored in lower case, so that one address is one account.

    Example:
        session.exec(select(User).where(User.email == "reader@example.com")).one_or_none()
    """

    __table_args__ = (CheckConstraint("email = lower(email)", name="email_lower"), SearchIndex("email", "full_name"))

    email: Annotated[str, READ_ONLY] = Field(max_length=254, unique=True)
    # Only administrators list accounts, and rarely. An index would slow down every sign-up.
    full_name: str = Field(min_length=1, max_length=200, index=False)
    role: str = Field(default=USER, index=False, max_length=32, sa_type=RoleText)
    is_active: bool = Field(default=True, index=False)
    hashed_password: Annotated[str, SECRET] = Field(max_length=60)
    # Part of every access token. Incrementing it invalidates all of them.
    token_version: Annotated[int, SECRET] = 0


class RefreshToken(Entity, table=True):
    """One refresh token, stored as its fingerprint. The tokens of one login are a family."""

    # To find tokens that can be deleted.
    __table_args__ = (Index(None, "revoked_at", "expires_at"),)

    user_id: int = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    # The account's version at the login. Incrementing that invalidates this token too, even one stored during the
    # revocation.
    token_version: int
    family: UUID = Field(index=True)
    fingerprint: str = Field(max_length=64, unique=True)
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


def caller_of(user_id: int, user_role: str) -> Caller:
    """Return the caller that policies and scopes see for an account.

    Example:
        with rowhouse.unit(app, caller=caller_of(user.id, user.role)) as unit:
            ...
    """
    return Caller(id=user_id, role=user_role, is_admin=user_role == ADMINISTRATOR)
