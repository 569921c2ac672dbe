"""Finds the account of an access token: the state that was read last, which the request checks (decision 0074)."""

import re
from functools import partial
from typing import Any

import sqlalchemy as sa

from rowhouse.auth.errors import AccountDisabledError
from rowhouse.auth.models import caller_of
from rowhouse.auth.service import ACCESS, accounts
from rowhouse.core.errors import NotAuthenticatedError
from rowhouse.core.security import REMEMBERED_TOKENS, Caller, decode_token
from rowhouse.core.settings import Settings
from rowhouse.db.assumption import Assumption
from rowhouse.db.unit_of_work import UnitOfWork

MAX_KEY = 2**31
SUBJECT = re.compile(r"[1-9][0-9]{0,9}")
SELECT_CALLER = sa.select(accounts.c.id, accounts.c.role, accounts.c.is_active, accounts.c.token_version).where(
    accounts.c.id == sa.bindparam("caller_id", type_=sa.Integer())
)
# The condition that an account is as it was read last. An alias, because a statement may be about the same table.
ACCOUNT, VERSION, ROLE = "_account", "_account_version", "_account_role"
_own: Any = accounts.alias("_own_account")
IS_UNCHANGED = sa.exists().where(
    _own.c.id == sa.bindparam(ACCOUNT, type_=_own.c.id.type),
    _own.c.token_version == sa.bindparam(VERSION, type_=_own.c.token_version.type),
    _own.c.role == sa.bindparam(ROLE, type_=_own.c.role.type),
    _own.c.is_active,
)


class Authenticator:
    """Finds the account of an access token, in its present state.

    The state that was read last is remembered. A request assumes it, and checks it with its first statement
    (decision 0074).
    """

    def __init__(self, settings: Settings) -> None:
        self._secret = settings.jwt_secret.get_secret_value()
        self._known: dict[int, Assumption] = {}

    def __call__(self, unit: UnitOfWork, token: str) -> Caller:
        """Return the account of an access token.

        Raises:
            NotAuthenticatedError: 401 for an invalid token, or one whose session has ended.
            AccountDisabledError: 403 for a disabled account.
        """
        claims = decode_token(token, kind=ACCESS, secret=self._secret)
        key, version = _subject(claims), claims.get("ver")
        known = self._known.get(key)
        if known is None or known.values[VERSION] != version:
            return self._read(unit, key, version)
        unit.assume(known)
        return known.caller

    def _read(self, unit: UnitOfWork, key: int, version: Any) -> Caller:
        self._known.pop(key, None)
        rows = unit.fetch_account(SELECT_CALLER, {"caller_id": key})
        if not rows or rows[0]["token_version"] != version:
            raise NotAuthenticatedError("This session has ended; sign in again.")
        if not rows[0]["is_active"]:
            raise AccountDisabledError
        caller = caller_of(rows[0]["id"], rows[0]["role"])
        if len(self._known) >= REMEMBERED_TOKENS:
            self._known.clear()
        values = {ACCOUNT: caller.id, VERSION: version, ROLE: caller.role}
        read = partial(self._read, key=key, version=version)
        self._known[key] = Assumption(caller, IS_UNCHANGED, values, read)
        return caller


def _subject(claims: dict[str, Any]) -> int:
    subject = str(claims["sub"])
    if not SUBJECT.fullmatch(subject) or int(subject) >= MAX_KEY:
        raise NotAuthenticatedError
    return int(subject)
