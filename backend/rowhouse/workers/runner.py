"""One request, one thread hop, one connection: the only way from the event loop to the database.

The textbook `yield`-session dependency deadlocks under load, because a connection is held while its request queues for a
thread (decision 0022). Here a request queues before it holds anything: each lane is a fixed set of threads, every thread holds
one connection, and work that has waited `queue_seconds` for a thread is refused with 503 instead of hanging.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import TypeVar

from rowhouse.core.errors import (
    ConnectionLostError,
    ReadOnlyDatabaseError,
    TransactionRetryError,
    UnavailableError,
)
from rowhouse.core.settings import Settings
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import Authenticator, UnitOfWork
from rowhouse.workers.pool import CompletionQueue, PoolTimeoutError, WorkerPool

T = TypeVar("T")
ATTEMPTS = 4
READ_ONLY = "This server is set to read only (READ_ONLY); send writes to another."
HASHING_THREADS = 2
# Anybody may sign up. However many do, logins have their own threads, and two thirds of the time for hashing.
SIGN_UP_THREADS = 1
TRANSFER_THREADS = 2
SLACK_SECONDS, LEAST_LOCK_SECONDS = 0.4, 0.1
_current = threading.local()


class WorkerGroup(StrEnum):
    """Which threads do the work.

    Password hashing, sign-ups, and exports and imports have their own, so that they starve no other request; `/ready` has its own, so that
    a busy server is not taken for a broken one.
    """

    DEFAULT = "default"
    HASHING = "hashing"
    SIGN_UP = "sign_up"
    TRANSFER = "transfer"
    PROBE = "probe"


def current_unit_of_work() -> UnitOfWork:
    """The unit of work of the request that this thread is serving.

    Raises:
        LookupError: outside a route made with `rowhouse.http.routing.Router`.
    """
    unit: UnitOfWork | None = getattr(_current, "unit", None)
    if unit is None:
        raise LookupError(
            "no request is being served in this thread: declare the route on rowhouse.http.routing.Router"
        )
    return unit


class RequestRunner:
    """Runs a request's work in a worker thread, inside one `UnitOfWork` that is committed before the answer."""

    def __init__(self, database: Database, settings: Settings, authenticator: Authenticator | None) -> None:
        self._database = database
        self._authenticator = authenticator
        self._is_read_only = settings.read_only
        self._queue_seconds = settings.queue_seconds
        self._lock_seconds = settings.lock_seconds
        # What a request waits for a thread, it does not wait for locks as well.
        self._wait_seconds = max(settings.queue_seconds, settings.lock_seconds) + SLACK_SECONDS
        self._completions: CompletionQueue | None = None
        self._pools = {
            WorkerGroup.DEFAULT: WorkerPool(settings.worker_threads, "worker", database.thread_connection),
            WorkerGroup.HASHING: WorkerPool(HASHING_THREADS, "hashing", database.thread_connection),
            WorkerGroup.SIGN_UP: WorkerPool(SIGN_UP_THREADS, "sign_up", database.thread_connection),
            WorkerGroup.TRANSFER: WorkerPool(TRANSFER_THREADS, "transfer", database.thread_connection),
            WorkerGroup.PROBE: WorkerPool(1, "probe", database.thread_connection),
        }

    async def run(self, work: Callable[[UnitOfWork], T], *, write: bool, group: WorkerGroup = WorkerGroup.DEFAULT) -> T:
        """What `work` returns, once its transaction is committed.

        Raises:
            UnavailableError: 503 when no thread was free within `queue_seconds`, and for a write where the server is set to read only.
            RowhouseError: whatever `work` or the database objects to; then nothing has changed.
        """
        if write and self._is_read_only:
            raise ReadOnlyDatabaseError(READ_ONLY)
        loop = asyncio.get_running_loop()
        if self._completions is None or self._completions.loop is not loop:
            self._completions = CompletionQueue(loop)
        pool, perform = self._pools[group], partial(self._perform, work, write=write, queued=time.perf_counter())
        try:
            return await pool.run(perform, self._completions, wait_seconds=self._queue_seconds)
        except PoolTimeoutError:
            raise UnavailableError(reason=f"no {group} thread was free within QUEUE_SECONDS") from None

    def _perform(self, work: Callable[[UnitOfWork], T], *, write: bool, queued: float) -> T:
        """Do the work, and again where the database asks for it: nothing of the attempt before is left."""
        has_reconnected = False
        for attempt in range(1, ATTEMPTS):
            try:
                return self._attempt(work, write=write, queued=queued)
            except (ConnectionLostError, ReadOnlyDatabaseError):
                # Such as a connection that died while it was idle, or to a server that is the primary no more. Once: work that
                # breaks each connection is not repeated for ever.
                if has_reconnected:
                    raise
                has_reconnected = True
            except TransactionRetryError:
                time.sleep(random.uniform(0.005, 0.03) * attempt)  # noqa: S311  # nosec B311  # jitter, not a secret
        return self._attempt(work, write=write, queued=queued)

    def _attempt(self, work: Callable[[UnitOfWork], T], *, write: bool, queued: float) -> T:
        left = self._wait_seconds - (time.perf_counter() - queued)
        bound = max(left, LEAST_LOCK_SECONDS) if left < self._lock_seconds else None
        unit = UnitOfWork(self._database, write=write, authenticator=self._authenticator, lock_seconds=bound)
        _current.unit = unit
        try:
            with unit:
                return work(unit)
        finally:
            _current.unit = None

    def close(self, *, seconds: float | None = None) -> bool:
        """Finish what was accepted, then stop the threads; False when some still work after `seconds`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        ended = [pool.close(deadline=deadline) for pool in self._pools.values()]
        return all(ended)
