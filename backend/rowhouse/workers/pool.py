"""A crew of threads that work for an event loop: the hop that every request makes, and so the leanest that it can be.

`ThreadPoolExecutor` behind `wrap_future` costs about twice the CPU (docs/decisions/0011): it takes two locks a step, for a future
that any thread may wait for, and wakes the loop for each answer. Here only the loop waits, and one wake-up fetches all answers
that are ready.
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
# How long a thread that cannot work leaves the tasks to the others.
RETRY_SECONDS = 0.5


class PoolTimeoutError(Exception):
    """No thread was free in time."""


class Job(Generic[T]):
    """Work that waits for a thread; `outcome` is what the loop waits for."""

    __slots__ = ("_claims", "_context", "_error", "_pool", "_result", "_work", "completions", "is_abandoned", "outcome")

    def __init__(self, work: Callable[[], T], pool: "WorkerPool", completions: "CompletionQueue") -> None:
        self.outcome: asyncio.Future[T] = completions.loop.create_future()
        self.completions = completions
        self.is_abandoned = False
        self._pool = pool
        self._result: T
        self._error: BaseException | None = None
        self._work = work
        self._context = contextvars.copy_context()  # what is logged in the thread names the request
        self._claims = [True]

    def claim(self) -> bool:
        """Whether it is the claimant's to do, or to give up; only one claimant gets it."""
        try:
            return self._claims.pop()  # atomic, and the only thing here that two threads race for
        except IndexError:
            return False

    def perform(self) -> None:
        """Do the work, in a thread of the crew."""
        try:
            self._result = self._context.run(self._work)
        except BaseException as error:  # noqa: BLE001  it is raised where the outcome is awaited
            self._error = error

    def fail(self, error: Exception) -> None:
        """End with an error instead of doing the work."""
        self._error = error

    def release(self) -> None:
        """Give it back: another thread may claim it."""
        self._claims.append(True)

    def deliver(self) -> None:
        """Give the outcome to who waits for it, in the loop's thread."""
        self._pool.unfinished -= 1
        if self.outcome.done():
            return  # nobody waits any more
        if self._error is not None:
            self.outcome.set_exception(self._error)
        else:
            self.outcome.set_result(self._result)

    def abandon(self) -> None:
        """Give up waiting, in the loop's thread: what was not begun is never done."""
        self.is_abandoned = True
        if self.claim():
            self._pool.unfinished -= 1
            if not self.outcome.done():
                self.outcome.set_exception(PoolTimeoutError())


class CompletionQueue:
    """What threads have done for one event loop. One wake-up is under way at most."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[Job[Any]] = deque()
        self._is_waking = False

    def put(self, job: Job[Any]) -> None:
        """Hand in a task that is done; called by threads."""
        self._done.append(job)
        if not self._is_waking:
            self._is_waking = True
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more; the thread goes on
                self.loop.call_soon_threadsafe(self._deliver_all)

    def _deliver_all(self) -> None:
        self._is_waking = False  # before the look: what is put in after it wakes the loop again
        while self._done:
            self._done.popleft().deliver()


class WorkerPool:
    """Up to `size` threads, started as they are needed, that do what is put before them in its order.

    `prepare` is called in a thread before each task and raises where the thread cannot work: `UnavailableError` when the database
    gives it no connection. Its tasks are then left to the threads that can; where none can, a task ends with that error.
    """

    def __init__(self, size: int, name: str, prepare: Callable[[], object] = lambda: None) -> None:
        self._size = size
        self._name = name
        self._prepare = prepare
        self._ready_threads: set[int] = (
            set()
        )  # the threads whose last `prepare` succeeded; each adds and removes itself
        self._is_closing = threading.Event()
        self._jobs: SimpleQueue[Job[Any] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self.unfinished = 0  # counted in the loop's thread alone

    async def run(self, work: Callable[[], T], completions: CompletionQueue, *, wait_seconds: float) -> T:
        """What `work` returns or raises, from a thread.

        Raises:
            PoolTimeoutError: no thread was free within `wait_seconds` seconds; then it is never done.
        """
        job = Job(work, self, completions)
        self.unfinished += 1
        # With no more tasks than threads that can work there is nobody to wait for.
        timer = (
            completions.loop.call_later(wait_seconds, job.abandon)
            if self.unfinished > len(self._ready_threads)
            else None
        )
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
        # As daemons, so that a program which never closes its crew can end.
        thread = threading.Thread(target=self._serve, name=f"{self._name}_{len(self._threads)}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _serve(self) -> None:
        me = threading.get_ident()
        while (job := self._jobs.get()) is not None:
            if not job.claim():
                continue
            try:
                self._prepare()
            except Exception as error:  # noqa: BLE001  it is raised where the outcome is awaited
                # The thread lives on whatever that is, or who waits for its task would wait for ever.
                self._ready_threads.discard(me)
                self._requeue_or_fail(job, error)
                continue
            self._ready_threads.add(me)
            job.perform()
            job.completions.put(job)

    def _requeue_or_fail(self, job: Job[Any], error: Exception) -> None:
        """Leave a task to the threads that can work; end it with the error where none can."""
        if self._ready_threads and not job.is_abandoned and not self._is_closing.is_set():
            job.release()
            self._jobs.put(job)
            self._is_closing.wait(RETRY_SECONDS)
        else:
            job.fail(error)
            job.completions.put(job)

    def close(self, *, deadline: float | None = None) -> bool:
        """Finish what was put before the crew, then let the threads go; False when one still works at `deadline`, a monotonic time.

        Such a thread waits for a database that does not answer. It is a daemon, so the process can end without it.
        """
        self._is_closing.set()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join(None if deadline is None else max(0, deadline - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)
