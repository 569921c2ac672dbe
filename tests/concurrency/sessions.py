"""Helpers for races on sessions: refreshes, and queries of a family of tokens."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx2
import sqlalchemy as sa

from rowhouse.auth.models import RefreshToken
from rowhouse.core.clock import now
from rowhouse.core.security import fingerprint
from tests.concurrency.tables import Tables, columns_of

TOKEN = columns_of(RefreshToken)
PAST_THE_GRACE = timedelta(minutes=1)
Pair = dict[str, Any]


def refresh(client: httpx2.Client, token: str) -> httpx2.Response:
    """The answer to a refresh."""
    return client.post("/auth/refresh", json={"refresh_token": token})


class Sessions:
    """The refresh tokens below the servers."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def family(self, token: str) -> UUID:
        """The family of a token."""
        found: UUID = self._tables.value(sa.select(TOKEN.family).where(TOKEN.fingerprint == fingerprint(token)))
        return found

    def size(self, token: str) -> int:
        """How many tokens the family of a token has."""
        return self._tables.count(TOKEN.family == self.family(token))

    def unspent(self, token: str) -> int:
        """How many of them are not used."""
        return self._tables.count(TOKEN.family == self.family(token), TOKEN.used_at.is_(None))

    def revoked(self, token: str) -> int:
        """How many of them are revoked."""
        return self._tables.count(TOKEN.family == self.family(token), TOKEN.revoked_at.is_not(None))

    def age(self, token: str) -> None:
        """Let the grace of a spent token be over."""
        spent = sa.update(RefreshToken).where(TOKEN.fingerprint == fingerprint(token), TOKEN.used_at.is_not(None))
        self._tables.change(spent.values(used_at=now() - PAST_THE_GRACE))
