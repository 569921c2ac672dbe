"""Runs requests in worker threads: one thread and one connection for each request.

The textbook `yield`-session dependency deadlocks under load, because a request holds a connection while it waits for a
thread (docs/decisions/0022). Here a request waits before it holds anything. Each group is a fixed set of threads, and
every thread has one connection. A request that has waited `queue_seconds` for a thread gets 503 instead of hanging.
"""

import asyncio
import random
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any, TypeVar

from rowhouse.core.errors import (
    ConnectionLostError,
    LockedError,
    ReadOnlyDatabaseError,
    TransactionRetryError,
    UnavailableError,
)
from rowhouse.core.settings import Settings
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import Authenticator, UnitOfWork
from rowhouse.metrics.layout import BUSY, LOCK_TIMEOUTS, LONG_WAIT, QUEUE_TIMEOUTS, RETRIES
from rowhouse.traces.spans import Traces
from rowhouse.workers.pool import CompletionQueue, PoolTimeoutError, WorkerPool

T = TypeVar("T")
ATTEMPTS = 4
READ_ONLY = "This server is set to read only (READ_ONLY); send writes to another."
HASHING_THREADS = 2
# Anybody can sign up. Logins keep threads of their own, with two thirds of the time for hashing.
SIGN_UP_THREADS = 1
TRANSFER_THREADS = 2
SLACK_SECONDS, MIN_LOCK_SECONDS = 0.4, 0.1
_current = threading.local()


class WorkerGroup(StrEnum):
    """The threads that run a request.

    Password hashing, sign-ups, exports and imports have threads of their own, so that they do not starve other
    requests. `/ready` has one of its own, so that a busy server does not look broken.
    """

    DEFAULT = "default"
    HASHING = "hashing"
    SIGN_UP = "sign_up"
    TRANSFER = "transfer"
    PROBE = "probe"


def current_unit_of_work() -> UnitOfWork:
    """Return the unit of work of the request that this thread handles.

    Raises:
        LookupError: outside a route made with `rowhouse.http.routing.Router`.
    """
    unit: UnitOfWork | None = getattr(_current, "unit", None)
    if unit is None:
        raise LookupError("this thread handles no request: declare the route on rowhouse.http.routing.Router")
    return unit


class RequestRunner:
    """Runs the work of a request in a worker thread, inside one `UnitOfWork` that commits before the response.

    `traces` records the waits for a thread, and `make_unit` makes the unit of each request. Both are set once, before
    the first request, if anybody receives traces.
    """

    def __init__(self, database: Database, settings: Settings, authenticator: Authenticator | None) -> None:
        self._database, self._metrics = database, database.metrics
        self.traces: Traces | None = None
        self.make_unit: Callable[..., UnitOfWork] = UnitOfWork
        self._authenticator = authenticator
        self._is_read_only = settings.read_only
        self._queue_seconds = settings.queue_seconds
        self._lock_seconds = settings.lock_seconds
        # The time that a request waits for a thread is deducted from its wait for locks.
        self._wait_seconds = max(settings.queue_seconds, settings.lock_seconds) + SLACK_SECONDS
        self._completions: CompletionQueue | None = None
        self._pools = {
            WorkerGroup.DEFAULT: WorkerPool(settings.worker_threads, "worker", database.thread_connection),
            WorkerGroup.HASHING: WorkerPool(HASHING_THREADS, "hashing", database.thread_connection),
            WorkerGroup.SIGN_UP: WorkerPool(SIGN_UP_THREADS, "sign_up", database.thread_connection),
            WorkerGroup.TRANSFER: WorkerPool(TRANSFER_THREADS, "transfer", database.thread_connection),
            WorkerGroup.PROBE: WorkerPool(1, "probe", database.thread_connection),
        }
        if self._metrics is not None:
            self._metrics.publishers.append(self._publish)

    async def run(self, work: Callable[[UnitOfWork], T], *, write: bool, group: WorkerGroup = WorkerGroup.DEFAULT) -> T:
        """Run `work` in a worker thread and commit. Return its result.

        Raises:
            UnavailableError: 503 when no thread was free within `queue_seconds`, and for a write on a read-only server.
            RowhouseError: any error of `work` or the database. Nothing has changed then.
        """
        if write and self._is_read_only:
            raise ReadOnlyDatabaseError(READ_ONLY)
        loop = asyncio.get_running_loop()
        if self._completions is None or self._completions.loop is not loop:
            self._completions = CompletionQueue(loop)
        pool, queued = self._pools[group], time.perf_counter()
        perform = partial(self._perform, work, write=write, queued=queued, group=group)
        try:
            return await pool.run(perform, self._completions, wait_seconds=self._queue_seconds)
        except PoolTimeoutError as error:
            self._count(QUEUE_TIMEOUTS[group])
            if self.traces is not None:
                self.traces.record_wait(group, time.perf_counter() - queued, error)
            raise UnavailableError(reason=f"no {group} thread was free within QUEUE_SECONDS") from None
        except LockedError:
            self._count(LOCK_TIMEOUTS)
            raise

    def _count(self, place: int) -> None:
        if self._metrics is not None:
            self._metrics.add(place)

    def _publish(self) -> None:
        metrics: Any = self._metrics
        for group, pool in self._pools.items():
            metrics.cells[BUSY[group]] = pool.busy

    def _perform(self, work: Callable[[UnitOfWork], T], *, write: bool, queued: float, group: WorkerGroup) -> T:
        """Do the work, and repeat it where the database requires it. A failed attempt leaves nothing behind."""
        if (waited := time.perf_counter() - queued) > LONG_WAIT and self._metrics is not None:
            self._metrics.record_wait(group, waited)
        if self.traces is not None:
            self.traces.record_wait(group, waited)
        has_reconnected = False
        for attempt in range(1, ATTEMPTS):
            try:
                return self._attempt(work, write=write, queued=queued)
            except (ConnectionLostError, ReadOnlyDatabaseError):
                # The connection died while it was idle, or its server is no longer the primary. Reconnect once: work
                # that breaks every connection must not be repeated for ever.
                if has_reconnected:
                    raise
                has_reconnected = True
                self._count(RETRIES["connection"])
            except TransactionRetryError:
                self._count(RETRIES["conflict"])
                time.sleep(random.uniform(0.005, 0.03) * attempt)  # noqa: S311  # nosec B311  # jitter, not a secret
        return self._attempt(work, write=write, queued=queued)

    def _attempt(self, work: Callable[[UnitOfWork], T], *, write: bool, queued: float) -> T:
        left = self._wait_seconds - (time.perf_counter() - queued)
        bound = max(left, MIN_LOCK_SECONDS) if left < self._lock_seconds else None
        unit = self.make_unit(self._database, write=write, authenticator=self._authenticator, lock_seconds=bound)
        _current.unit = unit
        try:
            with unit:
                return work(unit)
        finally:
            _current.unit = None

    def close(self, *, seconds: float | None = None) -> bool:
        """Finish the accepted requests, then stop the threads. Return False if some still work after `seconds`."""
        deadline = None if seconds is None else time.monotonic() + seconds
        ended = [pool.close(deadline=deadline) for pool in self._pools.values()]
        return all(ended)
