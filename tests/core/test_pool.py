"""The pool of worker threads for an event loop."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, NoReturn

import pytest

from rowhouse.core.errors import UnavailableError
from rowhouse.workers import pool as pool_module
from rowhouse.workers.pool import CompletionQueue, PoolTimeoutError, WorkerPool

LONG = 10.0


class Team:
    """A pool of workers and its jobs."""

    def __init__(self, size: int) -> None:
        self.pool = WorkerPool(size, "hand")
        self.completions = CompletionQueue(asyncio.get_running_loop())

    async def run(self, work: Callable[[], Any], *, wait_seconds: float = LONG) -> Any:
        """Run a job and return its result."""
        return await self.pool.run(work, self.completions, wait_seconds=wait_seconds)

    def start(self, work: Callable[[], Any]) -> asyncio.Task[Any]:
        """Add a job at once."""
        return asyncio.get_running_loop().create_task(self.run(work))


@asynccontextmanager
async def team(size: int) -> AsyncIterator[Team]:
    """A team that is closed at the end."""
    made = Team(size)
    yield made
    await asyncio.to_thread(made.pool.close)


def thread_name() -> str:
    """Return the name of the thread that works."""
    return threading.current_thread().name


def fail() -> NoReturn:
    """Raise an error."""
    raise ZeroDivisionError("nothing")


class Held:
    """A job that has started and waits until the test releases it."""

    def __init__(self) -> None:
        self.begun, self.let_go = threading.Event(), threading.Event()

    def __call__(self) -> str:
        """Report the start, and wait."""
        self.begun.set()
        assert self.let_go.wait(LONG)
        return thread_name()

    async def wait(self) -> None:
        """Wait until the job has started."""
        assert await asyncio.to_thread(self.begun.wait, LONG)


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a test in an event loop."""
    asyncio.run(test())


def test_threads_are_started_as_they_are_needed() -> None:
    """Successive jobs need one. There are never more than the size."""

    async def test() -> None:
        async with team(2) as made:
            assert {await made.run(thread_name) for _ in range(5)} == {"hand_0"}
            held = [Held() for _ in range(3)]
            started = [made.start(work) for work in held]
            for work in held[:2]:
                await work.wait()
            assert not held[2].begun.is_set()
            for work in held:
                work.let_go.set()
            assert {await one for one in started} == {"hand_0", "hand_1"}

    run(test)


def test_what_the_work_raises_is_raised() -> None:
    """The thread continues with the next job."""

    async def test() -> None:
        async with team(1) as made:
            with pytest.raises(ZeroDivisionError, match="nothing"):
                await made.run(fail)
            assert await made.run(thread_name) == "hand_0"

    run(test)


def test_who_has_waited_long_enough_is_told_and_the_work_is_never_done() -> None:
    """The running job is finished."""

    async def test() -> None:
        done: list[str] = []
        async with team(1) as made:
            held = Held()
            first = made.start(held)
            await held.wait()
            with pytest.raises(PoolTimeoutError):
                await made.run(lambda: done.append("late"), wait_seconds=0.01)
            held.let_go.set()
            assert await first == "hand_0"
            await made.run(lambda: done.append("next"))
        assert done == ["next"]

    run(test)


def test_work_that_nobody_waits_for_any_more_is_dropped_where_it_has_not_begun() -> None:
    """A running job continues and keeps its thread until it ends."""

    async def test() -> None:
        done: list[str] = []
        async with team(2) as made:
            held = Held()
            begun = made.start(held)
            await held.wait()
            begun.cancel()
            await asyncio.wait([begun])
            assert begun.cancelled()
            assert await made.run(thread_name) == "hand_1"
            other = Held()
            second = made.start(other)
            await other.wait()
            dropped = made.start(lambda: done.append("dropped"))
            await asyncio.sleep(0)
            dropped.cancel()
            await asyncio.wait([dropped])
            held.let_go.set()
            other.let_go.set()
            assert await second == "hand_1"
        assert done == []

    run(test)


def test_a_crew_that_is_closed_has_done_what_was_put_before_it() -> None:
    """In its order."""

    async def test() -> None:
        done: list[int] = []
        async with team(1) as made:
            held = Held()
            tasks = [made.start(held), *(made.start(lambda number=number: done.append(number)) for number in range(3))]  # type: ignore[misc]  # mypy knows no defaults of a lambda
            await held.wait()
            held.let_go.set()
            await asyncio.to_thread(made.pool.close)
            await asyncio.gather(*tasks)
        assert done == [0, 1, 2]

    run(test)


def test_one_waking_fetches_all_that_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a wake-up is pending, there is no second one."""

    async def test() -> None:
        async with team(3) as made:
            wakings: list[Any] = []
            with monkeypatch.context() as patched:
                patched.setattr(made.completions, "loop", Sleeper(wakings))
                outcomes = [made.pool.run(thread_name, made.completions, wait_seconds=LONG) for _ in range(3)]
                tasks = [asyncio.ensure_future(outcome) for outcome in outcomes]
                await asyncio.sleep(0)
                await asyncio.to_thread(made.pool.close)
            assert len(wakings) == 1
            wakings[0]()
            assert {await task for task in tasks} <= {"hand_0", "hand_1", "hand_2"}

    run(test)


def test_a_thread_outlives_the_loop_that_it_worked_for() -> None:
    """A closed loop gets no result. The same thread serves the next loop."""
    pool, held = WorkerPool(1, "hand"), Held()

    async def leave() -> None:
        asyncio.ensure_future(pool.run(held, CompletionQueue(asyncio.get_running_loop()), wait_seconds=LONG))  # noqa: RUF006  it is to be lost
        await held.wait()

    async def come() -> str:
        return await pool.run(thread_name, CompletionQueue(asyncio.get_running_loop()), wait_seconds=LONG)

    run(leave)
    held.let_go.set()
    assert asyncio.run(come()) == "hand_0"
    pool.close()


class Sleeper:
    """The running loop. It records its wake-ups."""

    def __init__(self, wakings: list[Any]) -> None:
        self._wakings = wakings
        self._loop = asyncio.get_running_loop()
        self.create_future, self.call_later = self._loop.create_future, self._loop.call_later

    def call_soon_threadsafe(self, work: Callable[[], Any]) -> None:
        """Record it."""
        self._wakings.append(work)


class Doors:
    """Limits how many threads can work, as connections do. A thread keeps its place."""

    def __init__(self, places: int) -> None:
        self.places = places
        self.holders: set[str] = set()

    def __call__(self) -> None:
        """Take a place. Raises UnavailableError if there is none."""
        if thread_name() not in self.holders:
            if len(self.holders) >= self.places:
                raise UnavailableError
            self.holders.add(thread_name())


def test_a_thread_that_cannot_work_leaves_the_tasks_to_those_that_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """No job fails while one thread can work."""
    monkeypatch.setattr(pool_module, "RETRY_SECONDS", 0.01)

    async def test() -> None:
        async with team(4) as made:
            made.pool._prepare = Doors(1)
            started = [made.start(thread_name) for _ in range(40)]
            assert len({await one for one in started}) == 1

    run(test)


def test_where_no_thread_can_work_the_task_tells_why() -> None:
    """The job fails at once. The next one runs when it can."""

    async def test() -> None:
        async with team(2) as made:
            doors = Doors(0)
            made.pool._prepare = doors
            with pytest.raises(UnavailableError):
                await made.run(thread_name)
            doors.places = 2
            assert await made.run(thread_name) == "hand_0"

    run(test)


def test_a_thread_lives_on_whatever_keeps_it_from_working() -> None:
    """Any other error, such as one of the driver, is raised too, and no caller waits for ever."""

    async def test() -> None:
        async with team(1) as made:
            made.pool._prepare = fail
            for _ in range(2):
                with pytest.raises(ZeroDivisionError):
                    await asyncio.wait_for(made.run(thread_name), LONG)
            made.pool._prepare = lambda: None
            assert await made.run(thread_name) == "hand_0"

    run(test)


def test_who_has_waited_long_enough_is_told_so_while_a_thread_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that its thread could not run, and whose caller stopped waiting, ends with the thread's error."""
    monkeypatch.setattr(pool_module, "RETRY_SECONDS", 0.01)

    async def test() -> None:
        async with team(2) as made:
            doors = Doors(1)
            made.pool._prepare = doors
            held, slow = Held(), threading.Event()
            first = made.start(held)
            await held.wait()

            def look() -> None:
                slow.wait(LONG)
                doors()

            made.pool._prepare = look
            late = asyncio.get_running_loop().create_task(made.run(thread_name, wait_seconds=0.01))
            await asyncio.sleep(0.1)
            slow.set()
            with pytest.raises(UnavailableError):
                await late
            held.let_go.set()
            await first

    run(test)
