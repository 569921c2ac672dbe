"""Limits the idempotency keys of one account, without counting them at each request.

After a count, an account may claim an eighth of the rest before the next count. So an account far from its limit costs
nothing, and one near it is counted each time. With several processes, each can exceed the limit by that eighth. Must
not claim a key itself.
"""

import math
import threading
from collections import OrderedDict
from datetime import datetime, timedelta
from typing import NamedTuple

import sqlalchemy as sa

from rowhouse.core.clock import now
from rowhouse.core.errors import TooManyKeysError
from rowhouse.db.unit_of_work import UnitOfWork

LIFETIME = timedelta(hours=24)
SHARE = 8
REMEMBERED = 10_000
# How long an account over its limit is rejected without a count. The next count notices keys that were deleted by
# something else.
RECOUNT = timedelta(minutes=1)


class _Full(NamedTuple):
    """An owner is at its limit: until when no new count is needed, and when its oldest key expires."""

    known_until: datetime
    free_at: datetime


class KeyQuota:
    """The quota of one process: the keys that owners may claim without a count, and the owners at their limit."""

    def __init__(self, max_keys: int, keys: sa.Table) -> None:
        self._max_keys = max_keys
        mine = keys.c.owner == sa.bindparam("owner", type_=sa.String())
        self._count = sa.select(sa.func.count().label("held")).select_from(keys).where(mine)
        self._oldest = sa.select(keys.c.created_at).where(mine).order_by(keys.c.created_at).limit(1)
        self._left: OrderedDict[str, int] = OrderedDict()
        self._full: dict[str, _Full] = {}
        self._lock = threading.Lock()

    def reserve(self, unit: UnitOfWork, owner: str) -> None:
        """Count the key that `owner` has just claimed in this transaction.

        Raises:
            TooManyKeysError: 429 when the owner is over its limit.
        """
        with self._lock:
            left = self._left.pop(owner, 0)
            if left > 0:
                self._left[owner] = left - 1  # at the end: the least recently used owners are forgotten first
                return
            full = self._full.get(owner)
        if full is not None and now() < full.known_until:
            raise TooManyKeysError(_seconds_until(full.free_at))
        self._reserve_by_count(unit, owner)

    def _reserve_by_count(self, unit: UnitOfWork, owner: str) -> None:
        room = self._max_keys - unit.fetch(self._count, {"owner": owner})[0]["held"]
        if room >= 0:
            with self._lock:
                self._full.pop(owner, None)
                self._left[owner] = room // SHARE
                if len(self._left) > REMEMBERED:
                    self._left.popitem(last=False)
            return
        free_at = unit.fetch(self._oldest, {"owner": owner})[0]["created_at"] + LIFETIME
        with self._lock:
            if len(self._full) >= REMEMBERED:
                self._full.clear()
            self._full[owner] = _Full(known_until=min(free_at, now() + RECOUNT), free_at=free_at)
        raise TooManyKeysError(_seconds_until(free_at))


def _seconds_until(instant: datetime) -> int:
    return max(1, math.ceil((instant - now()).total_seconds()))
