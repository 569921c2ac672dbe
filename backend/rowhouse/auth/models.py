"""Accounts and their refresh tokens."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlmodel import Field

from rowhouse.core.policy import role
from rowhouse.core.security import Caller
from rowhouse.entities.model import READ_ONLY, SECRET, Entity
from rowhouse.entities.search_index import SearchIndex


class Role(StrEnum):
    """What an account may do."""

    USER = "user"
    DRIVER = "driver"
    ADMIN = "admin"


ADMIN = role(Role.ADMIN)
DRIVER = role(Role.DRIVER, Role.ADMIN)


class User(Entity, table=True):
    """An account; its address is stored in lower case, so that one address is one account."""

    __table_args__ = (CheckConstraint("email = lower(email)", name="email_lower"), SearchIndex("email", "full_name"))

    email: Annotated[str, READ_ONLY] = Field(max_length=254, unique=True)
    # Administrators alone list accounts, and rarely: a sign-up is not to pay for it.
    full_name: str = Field(min_length=1, max_length=200, index=False)
    role: Role = Field(default=Role.USER, index=False)
    is_active: bool = Field(default=True, index=False)
    hashed_password: Annotated[str, SECRET] = Field(max_length=60)
    # Part of every access token; counting it up ends them all at once.
    token_version: Annotated[int, SECRET] = 0


class RefreshToken(Entity, table=True):
    """One refresh token, stored as its fingerprint. Those that follow from one login are a family."""

    # By it those are found that are of no use any more.
    __table_args__ = (Index(None, "revoked_at", "expires_at"),)

    user_id: int = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    # The account's at the login: counting that up ends this one too, also where nobody saw it when the others were revoked.
    token_version: int
    family: UUID = Field(index=True)
    fingerprint: str = Field(max_length=64, unique=True)
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


def caller_of(user_id: int, user_role: Role) -> Caller:
    """The caller as policies and scopes see it."""
    return Caller(id=user_id, role=user_role.value, is_admin=user_role is Role.ADMIN)
