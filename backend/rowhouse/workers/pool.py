"""A fixed pool of worker threads for one event loop. Every request uses it, so it does as little as possible.

`ThreadPoolExecutor` behind `wrap_future` costs about twice the CPU (docs/decisions/0011): it takes two locks for each
step, because any thread may wait for its futures, and wakes the event loop for each result. Here only the event loop
waits, and one wake-up delivers all results that are ready.
"""

import asyncio
import contextvars
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")
# How long a thread without a connection leaves the jobs to other threads.
RETRY_SECONDS = 0.5


class PoolTimeoutError(Exception):
    """No thread was free in time."""


class Job(Generic[T]):
    """Work that waits for a thread. The event loop awaits `outcome`."""

    __slots__ = ("_claims", "_context", "_error", "_pool", "_result", "_work", "completions", "is_abandoned", "outcome")

    def __init__(self, work: Callable[[], T], pool: "WorkerPool", completions: "CompletionQueue") -> None:
        self.outcome: asyncio.Future[T] = completions.loop.create_future()
        self.completions = completions
        self.is_abandoned = False
        self._pool = pool
        self._result: T
        self._error: BaseException | None = None
        self._work = work
        self._context = contextvars.copy_context()  # log lines of the thread contain the request id
        self._claims = [True]

    def claim(self) -> bool:
        """Return True for the one caller who may perform or abandon the job."""
        try:
            return self._claims.pop()  # atomic; nothing else here is contended by two threads
        except IndexError:
            return False

    def perform(self) -> None:
        """Do the work, in a thread of the pool."""
        try:
            self._result = self._context.run(self._work)
        except BaseException as error:  # noqa: BLE001  raised again in the task that awaits the job
            self._error = error

    def fail(self, error: Exception) -> None:
        """Set an error as the outcome instead of doing the work."""
        self._error = error

    def release(self) -> None:
        """Allow another thread to claim the job."""
        self._claims.append(True)

    def deliver(self) -> None:
        """Set the outcome, in the thread of the event loop."""
        self._pool.unfinished -= 1
        if self.outcome.done():
            return  # the caller is gone
        if self._error is not None:
            self.outcome.set_exception(self._error)
        else:
            self.outcome.set_result(self._result)

    def abandon(self) -> None:
        """Stop waiting, in the thread of the event loop. A job that has not started never runs."""
        self.is_abandoned = True
        if self.claim():
            self._pool.unfinished -= 1
            if not self.outcome.done():
                self.outcome.set_exception(PoolTimeoutError())


class CompletionQueue:
    """The finished jobs for one event loop. At most one wake-up is pending."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[Job[Any]] = deque()
        self._is_waking = False

    def put(self, job: Job[Any]) -> None:
        """Add a finished job. Called by worker threads."""
        self._done.append(job)
        if not self._is_waking:
            self._is_waking = True
            with suppress(RuntimeError):  # the loop is closed and nobody waits; the thread continues
                self.loop.call_soon_threadsafe(self._deliver_all)

    def _deliver_all(self) -> None:
        self._is_waking = False  # first: a job added from now on wakes the loop again
        while self._done:
            self._done.popleft().deliver()


class WorkerPool:
    """Up to `size` threads, started as needed, that run jobs in the order in which they were added.

    A thread calls `prepare` before each job. It raises if the thread cannot work, such as `UnavailableError` when the
    database gives it no connection. Other threads then run its jobs. If none can, the job ends with that error.
    """

    def __init__(self, size: int, name: str, prepare: Callable[[], object] = lambda: None) -> None:
        self._size = size
        self._name = name
        self._prepare = prepare
        # The threads whose last `prepare` succeeded. Each adds and removes itself.
        self._ready_threads: set[int] = set()
        self._is_closing = threading.Event()
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self.unfinished = 0  # changed only in the thread of the event loop

    @property
    def busy(self) -> int:
        """The number of threads that have work."""
        return min(self.unfinished, self._size)

    async def run(self, work: Callable[[], T], completions: CompletionQueue, *, wait_seconds: float) -> T:
        """Run `work` in a thread. Return or raise what it does.

        Raises:
            PoolTimeoutError: no thread was free within `wait_seconds`. `work` never runs then.
        """
        job = Job(work, self, completions)
        self.unfinished += 1
        # No timer is needed while there are as many ready threads as jobs.
        waits = self.unfinished > len(self._ready_threads)
        timer = completions.loop.call_later(wait_seconds, job.abandon) if waits else None
        if self.unfinished > len(self._threads) < self._size:
            self._start_thread()
        self._jobs.put(job)
        try:
            return await job.outcome
        except asyncio.CancelledError:
            job.abandon()
            raise
        finally:
            if timer is not None:
                timer.cancel()

    def _start_thread(self) -> None:
        # As a daemon, so that a program that never closes its pool can end.
        thread = threading.Thread(target=self._serve, name=f"{self._name}_{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        me, jobs = threading.get_ident(), self._jobs
        while (job := jobs.get()) is not None:
            if not job.claim():
                continue
            try:
                self._prepare()
            except Exception as error:  # noqa: BLE001  raised again in the task that awaits the job
                # The thread must continue after any error, or the caller of its job would wait for ever.
                self._ready_threads.discard(me)
                self._requeue_or_fail(job, error)
                continue
            self._ready_threads.add(me)
            job.perform()
            job.completions.put(job)

    def _requeue_or_fail(self, job: Job[Any], error: Exception) -> None:
        """Leave a job to the threads that can work, or end it with the error if none can."""
        if self._ready_threads and not job.is_abandoned and not self._is_closing.is_set():
            job.release()
            self._jobs.put(job)
            self._is_closing.wait(RETRY_SECONDS)
        else:
            job.fail(error)
            job.completions.put(job)

    def close(self, *, deadline: float | None = None) -> bool:
        """Finish the accepted jobs, then end the threads. Work that is added later starts new ones.

        Return False if one still works at `deadline`, a monotonic time. Such a thread waits for a database that does
        not respond. It is a daemon, so the process can end without it.
        """
        self._is_closing.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(None if deadline is None else max(0, deadline - time.monotonic()))
        has_ended = not any(thread.is_alive() for thread in self._threads)
        self._threads, self._ready_threads, self._jobs = [], set(), SimpleQueue()
        self._is_closing.clear()
        return has_ended
