"""The pool of worker threads for an event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, NoReturn

import pytest

from rowhouse.core.errors import UnavailableError
from rowhouse.workers import pool as pool_module
from rowhouse.workers.pool import CompletionQueue, PoolTimeoutError, WorkerPool

LONG = 10.0


class RunningPool:
    """A pool of workers and the queue of its finished jobs."""

    def __init__(self, size: int) -> None:
        self.pool = WorkerPool(size, "worker")
        self.completions = CompletionQueue(asyncio.get_running_loop())

    async def run(self, work: Callable[[], Any], *, wait_seconds: float = LONG) -> Any:
        """Run a job and return its result."""
        return await self.pool.run(work, self.completions, wait_seconds=wait_seconds)

    def start(self, work: Callable[[], Any]) -> asyncio.Task[Any]:
        """Add a job at once."""
        return asyncio.get_running_loop().create_task(self.run(work))


@asynccontextmanager
async def running_pool(size: int) -> AsyncIterator[RunningPool]:
    """A pool that is closed at the end."""
    made = RunningPool(size)
    yield made
    await asyncio.to_thread(made.pool.close)


def thread_name() -> str:
    """Return the name of the thread that works."""
    return threading.current_thread().name


def fail() -> NoReturn:
    """Raise an error."""
    raise ZeroDivisionError("nothing")


class BlockedJob:
    """A job that has started and waits until the test releases it."""

    def __init__(self) -> None:
        self.started, self.released = threading.Event(), threading.Event()

    def __call__(self) -> str:
        """Report the start, and wait."""
        self.started.set()
        assert self.released.wait(LONG)
        return thread_name()

    async def wait(self) -> None:
        """Wait until the job has started."""
        assert await asyncio.to_thread(self.started.wait, LONG)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test in an event loop."""
    asyncio.run(test())


def test_threads_are_started_as_they_are_needed() -> None:
    """Successive jobs need one. There are never more than the size."""

    async def test() -> None:
        async with running_pool(2) as made:
            assert {await made.run(thread_name) for _ in range(5)} == {"worker_0"}
            blocked = [BlockedJob() for _ in range(3)]
            started = [made.start(work) for work in blocked]
            for work in blocked[:2]:
                await work.wait()
            assert not blocked[2].started.is_set()
            for work in blocked:
                work.released.set()
            assert {await one for one in started} == {"worker_0", "worker_1"}

    run(test)


def test_the_error_of_a_job_is_raised() -> None:
    """The thread continues with the next job."""

    async def test() -> None:
        async with running_pool(1) as made:
            with pytest.raises(ZeroDivisionError, match="nothing"):
                await made.run(fail)
            assert await made.run(thread_name) == "worker_0"

    run(test)


def test_a_job_that_waited_too_long_fails_and_never_runs() -> None:
    """The running job is finished."""

    async def test() -> None:
        done: list[str] = []
        async with running_pool(1) as made:
            blocked = BlockedJob()
            first = made.start(blocked)
            await blocked.wait()
            with pytest.raises(PoolTimeoutError):
                await made.run(lambda: done.append("late"), wait_seconds=0.01)
            blocked.released.set()
            assert await first == "worker_0"
            await made.run(lambda: done.append("next"))
        assert done == ["next"]

    run(test)


def test_a_cancelled_job_is_dropped_if_it_has_not_started() -> None:
    """A running job continues and keeps its thread until it ends."""

    async def test() -> None:
        done: list[str] = []
        async with running_pool(2) as made:
            blocked = BlockedJob()
            begun = made.start(blocked)
            await blocked.wait()
            begun.cancel()
            await asyncio.wait([begun])
            assert begun.cancelled()
            assert await made.run(thread_name) == "worker_1"
            other = BlockedJob()
            second = made.start(other)
            await other.wait()
            dropped = made.start(lambda: done.append("dropped"))
            await asyncio.sleep(0)
            dropped.cancel()
            await asyncio.wait([dropped])
            blocked.released.set()
            other.released.set()
            assert await second == "worker_1"
        assert done == []

    run(test)


def test_closing_a_pool_finishes_the_jobs_before_it() -> None:
    """In its order."""

    async def test() -> None:
        done: list[int] = []
        async with running_pool(1) as made:
            blocked = BlockedJob()
            tasks = [made.start(blocked), *(made.start(partial(done.append, number)) for number in range(3))]
            await blocked.wait()
            blocked.released.set()
            await asyncio.to_thread(made.pool.close)
            await asyncio.gather(*tasks)
        assert done == [0, 1, 2]

    run(test)


def test_one_wakeup_delivers_all_finished_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a wake-up is pending, there is no second one."""

    async def test() -> None:
        async with running_pool(3) as made:
            wakeups: list[Any] = []
            with monkeypatch.context() as patched:
                patched.setattr(made.completions, "loop", RecordingLoop(wakeups))
                outcomes = [made.pool.run(thread_name, made.completions, wait_seconds=LONG) for _ in range(3)]
                tasks = [asyncio.ensure_future(outcome) for outcome in outcomes]
                await asyncio.sleep(0)
                await asyncio.to_thread(made.pool.close)
            assert len(wakeups) == 1
            wakeups[0]()
            assert {await task for task in tasks} <= {"worker_0", "worker_1", "worker_2"}

    run(test)


def test_a_thread_outlives_the_loop_that_it_worked_for() -> None:
    """A closed loop gets no result. The same thread serves the next loop."""
    pool, blocked = WorkerPool(1, "worker"), BlockedJob()

    async def leave() -> None:
        asyncio.ensure_future(pool.run(blocked, CompletionQueue(asyncio.get_running_loop()), wait_seconds=LONG))  # noqa: RUF006  it is to be lost
        await blocked.wait()

    async def come() -> str:
        return await pool.run(thread_name, CompletionQueue(asyncio.get_running_loop()), wait_seconds=LONG)

    run(leave)
    blocked.released.set()
    assert asyncio.run(come()) == "worker_0"
    pool.close()


class RecordingLoop:
    """The running loop. It records its wake-ups."""

    def __init__(self, wakeups: list[Any]) -> None:
        self._wakings = wakeups
        self._loop = asyncio.get_running_loop()
        self.create_future, self.call_later = self._loop.create_future, self._loop.call_later

    def call_soon_threadsafe(self, work: Callable[[], Any]) -> None:
        """Record it."""
        self._wakings.append(work)


class Connections:
    """Limits how many threads can work, as a database limits connections. A thread keeps its connection."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.holders: set[str] = set()
        self.refused = threading.Event()

    def __call__(self) -> None:
        """Take a connection. Raises UnavailableError if there is none left."""
        if thread_name() not in self.holders:
            if len(self.holders) >= self.limit:
                self.refused.set()
                raise UnavailableError
            self.holders.add(thread_name())


def test_a_thread_that_cannot_work_leaves_the_jobs_to_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """No job fails while one thread can work."""
    monkeypatch.setattr(pool_module, "RETRY_SECONDS", 0.01)

    async def test() -> None:
        async with running_pool(4) as made:
            connections, held = Connections(1), BlockedJob()
            made.pool._prepare = connections
            started = [made.start(held)]
            await held.wait()
            started += [made.start(thread_name) for _ in range(40)]
            assert await asyncio.to_thread(connections.refused.wait, LONG)
            held.released.set()
            assert len({await one for one in started}) == 1

    run(test)


def test_if_no_thread_can_work_the_job_fails_with_the_reason() -> None:
    """The job fails at once. The next one runs when it can."""

    async def test() -> None:
        async with running_pool(2) as made:
            connections = Connections(0)
            made.pool._prepare = connections
            with pytest.raises(UnavailableError):
                await made.run(thread_name)
            connections.limit = 2
            assert await made.run(thread_name) == "worker_0"

    run(test)


def test_a_thread_survives_any_error_that_keeps_it_from_working() -> None:
    """Any other error, such as one of the driver, is raised too, and no caller waits for ever."""

    async def test() -> None:
        async with running_pool(1) as made:
            made.pool._prepare = fail
            for _ in range(2):
                with pytest.raises(ZeroDivisionError):
                    await asyncio.wait_for(made.run(thread_name), LONG)
            made.pool._prepare = lambda: None
            assert await made.run(thread_name) == "worker_0"

    run(test)


def test_a_job_that_waited_too_long_fails_while_a_thread_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that its thread could not run, and whose caller stopped waiting, ends with the thread's error."""
    monkeypatch.setattr(pool_module, "RETRY_SECONDS", 0.01)

    async def test() -> None:
        async with running_pool(2) as made:
            connections = Connections(1)
            made.pool._prepare = connections
            blocked, slow = BlockedJob(), threading.Event()
            first = made.start(blocked)
            await blocked.wait()

            def look() -> None:
                slow.wait(LONG)
                connections()

            made.pool._prepare = look
            late = asyncio.get_running_loop().create_task(made.run(thread_name, wait_seconds=0.01))
            await asyncio.sleep(0.1)
            slow.set()
            with pytest.raises(UnavailableError):
                await late
            blocked.released.set()
            await first

    run(test)
