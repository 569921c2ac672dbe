"""The request runner: one thread, one connection and one commit for a request, and 503 instead of a long wait."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import pytest
import sqlalchemy as sa
from fastapi import Depends
from starlette.responses import Response
from starlette.testclient import TestClient

from rowhouse.auth.models import User
from rowhouse.core.errors import ReadOnlyDatabaseError, TransactionRetryError, UnavailableError
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.http.dependencies import CallerDep, SessionDep, UnitDep
from rowhouse.http.routing import Router, in_worker_group
from rowhouse.workers.runner import (
    ATTEMPTS,
    HASHING_THREADS,
    TRANSFER_THREADS,
    RequestRunner,
    WorkerGroup,
    current_unit_of_work,
)
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in, unique
from tests.core.conftest import Serve, build, build_shop, count, running, shelves
from tests.sample_entities.shop.models import Category

LONG = 10.0


class BlockingWork:
    """Work that blocks its thread until the test releases it."""

    def __init__(self) -> None:
        self.started = threading.Semaphore(0)
        self.released = threading.Event()
        self.finished: list[Any] = []

    def run(self, unit: UnitOfWork | None = None, *, name: str = "done") -> str:
        """Report the start, and wait."""
        self.started.release()
        assert self.released.wait(LONG)
        self.finished.append(name)
        return name

    async def wait_for(self, number: int = 1) -> None:
        """Wait until this number of jobs has started."""
        for _ in range(number):
            assert await asyncio.to_thread(self.started.acquire, timeout=LONG)


@asynccontextmanager
async def runner_on(database: Database, **settings: Any) -> AsyncIterator[RequestRunner]:
    """A runner that is closed at the end."""
    runner = RequestRunner(database, Settings(database_url=str(database.engine.url), **settings), None)
    yield runner
    await asyncio.to_thread(runner.close)


@pytest.fixture
def blocking() -> Iterator[BlockingWork]:
    """Work that is released at the end of every test."""
    made = BlockingWork()
    yield made
    made.released.set()


def test_the_work_of_a_request_stays_in_one_thread(serve: Serve) -> None:
    """Dependencies, body and response. The event loop's thread does none of it."""
    threads: list[str] = []

    def note() -> str:
        threads.append(threading.current_thread().name)
        return "noted"

    router = Router()

    @router.get("/threads", policy=ANYONE)
    def read_threads(_first: Annotated[str, Depends(note)], _session: SessionDep) -> list[str]:
        note()
        return threads

    answer = serve(router).get("/api/v1/threads")
    assert len(answer.json()) == 2
    assert len(set(threads)) == 1
    assert threads[0].startswith("worker")


def test_a_session_and_the_unit_share_one_connection(serve: Serve) -> None:
    """However many dependencies use them."""
    router = Router()

    @router.get("/shared", policy=ANYONE)
    def read_shared(unit: UnitDep, session: SessionDep, again: SessionDep) -> bool:
        return unit.session is session is again and session.connection() is unit.thread_connection.connection

    assert serve(router).get("/api/v1/shared").json() is True


def test_nothing_is_served_outside_a_request() -> None:
    """The message says how to fix it."""
    with pytest.raises(LookupError, match=r"rowhouse\.http\.routing\.Router"):
        current_unit_of_work()


def test_success_is_returned_only_after_the_commit(bare: Database) -> None:
    """Another connection sees the row as soon as `run` returns."""
    name = unique("shelf")

    async def scenario() -> None:
        async with runner_on(bare) as runner:
            await runner.run(lambda u: u.session.execute(shelves.insert().values(name=name)), write=True)
            assert count(bare, name) == 1

    asyncio.run(scenario())


def test_a_full_worker_group_rejects_requests_and_never_runs_them(sqlite_url: str, blocking: BlockingWork) -> None:
    """503 with Retry-After. The next request is handled."""
    ran: list[str] = []
    router = Router()

    @router.get("/hold")
    def hold() -> str:
        return blocking.run()

    @router.get("/mark/{name}")
    def mark(name: str) -> str:
        ran.append(name)
        return name

    async def scenario() -> None:
        async with running(build(sqlite_url, router, worker_threads=1, queue_seconds=0.05)) as client:
            holding = asyncio.create_task(client.get("/api/v1/hold"))
            await blocking.wait_for()
            refused = await asyncio.gather(*(client.get("/api/v1/mark/refused") for _ in range(3)))
            assert not holding.done()
            blocking.released.set()
            assert (await holding).json() == "done"
            assert (await client.get("/api/v1/mark/served")).json() == "served"
        for answer in refused:
            assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
        assert ran == ["served"]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("group", "threads"), [(WorkerGroup.HASHING, HASHING_THREADS), (WorkerGroup.TRANSFER, TRANSFER_THREADS)]
)
def test_a_busy_worker_group_does_not_starve_other_requests(
    sqlite_url: str, blocking: BlockingWork, group: WorkerGroup, threads: int
) -> None:
    """While every thread for hashing, exports and imports is busy, the default group still responds."""
    router = Router()

    @router.post("/busy")
    @in_worker_group(group)
    def be_busy() -> str:
        return blocking.run(name=threading.current_thread().name)

    @router.get("/plain")
    def plain() -> str:
        return threading.current_thread().name

    async def scenario() -> list[Any]:
        async with running(build(sqlite_url, router, worker_threads=1, queue_seconds=LONG)) as client:
            busy = [asyncio.create_task(client.post("/api/v1/busy")) for _ in range(threads + 2)]
            await blocking.wait_for(threads)
            answer = await client.get("/api/v1/plain")
            assert answer.json().startswith("worker")
            assert blocking.finished == []
            blocking.released.set()
            return [answered.json() for answered in await asyncio.gather(*busy)]

    names = asyncio.run(scenario())
    assert len(names) == threads + 2
    assert all(name.startswith(group.value) for name in names)


def test_a_client_that_goes_away_is_no_overload(bare: Database, blocking: BlockingWork) -> None:
    """Its cancellation is raised. A running job is finished, a waiting one never runs."""

    async def scenario() -> None:
        async with runner_on(bare, worker_threads=1, queue_seconds=LONG) as runner:
            running_one = asyncio.create_task(runner.run(blocking.run, write=False))
            await blocking.wait_for()
            waiting = asyncio.create_task(runner.run(lambda _unit: blocking.finished.append("waited"), write=False))
            await asyncio.sleep(0)
            for task in (waiting, running_one):
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
            blocking.released.set()
            await runner.run(lambda _unit: blocking.finished.append("next"), write=False)
        assert blocking.finished == ["done", "next"]

    asyncio.run(scenario())


def test_closing_finishes_what_was_accepted(bare: Database, blocking: BlockingWork) -> None:
    """Running and waiting jobs, hashing too."""

    async def scenario() -> None:
        async with runner_on(bare, worker_threads=1, queue_seconds=LONG) as runner:
            groups = (WorkerGroup.DEFAULT, WorkerGroup.DEFAULT, WorkerGroup.HASHING)
            accepted = [asyncio.create_task(runner.run(blocking.run, write=False, group=group)) for group in groups]
            await blocking.wait_for(2)
            closing = asyncio.create_task(asyncio.to_thread(runner.close))
            blocking.released.set()
            assert await asyncio.gather(*accepted) == ["done"] * 3
            assert await closing  # every thread has ended, so the connections may be closed

    asyncio.run(scenario())


def failing(times: int, name: str, tried: list[int]) -> Callable[[UnitOfWork], str]:
    """Return work that stores a shelf and then fails with this number of deadlocks."""

    def work(unit: UnitOfWork) -> str:
        tried.append(1)
        unit.session.execute(shelves.insert().values(name=name))
        if len(tried) <= times:
            raise TransactionRetryError
        return "done"

    return work


def test_a_lost_transaction_is_tried_again(bare: Database) -> None:
    """Each attempt starts again; the failed ones are rolled back."""
    name, tried = unique("shelf"), list[int]()

    async def scenario() -> None:
        async with runner_on(bare) as runner:
            assert await runner.run(failing(ATTEMPTS - 1, name, tried), write=True) == "done"

    asyncio.run(scenario())
    assert len(tried) == ATTEMPTS == 4
    assert count(bare, name) == 1


def test_trying_again_has_an_end(bare: Database) -> None:
    """503, and nothing is stored."""
    name, tried = unique("shelf"), list[int]()

    async def scenario() -> None:
        async with runner_on(bare) as runner:
            with pytest.raises(TransactionRetryError) as refused:
                await runner.run(failing(ATTEMPTS, name, tried), write=True)
            assert (refused.value.status, dict(refused.value.headers)) == (503, {"Retry-After": "1"})

    asyncio.run(scenario())
    assert len(tried) == ATTEMPTS
    assert count(bare, name) == 0


def test_no_other_error_is_tried_again(bare: Database) -> None:
    """Not even the 503 of a lock timeout."""
    tried: list[int] = []

    def work(_unit: UnitOfWork) -> None:
        tried.append(1)
        raise UnavailableError

    async def scenario() -> None:
        async with runner_on(bare) as runner:
            with pytest.raises(UnavailableError):
                await runner.run(work, write=True)

    asyncio.run(scenario())
    assert tried == [1]


def test_the_victim_of_a_real_deadlock_gets_through(bare_url: str) -> None:
    """Two requests lock two rows in opposite orders. On SQLite the write lock already serializes them."""
    names = [unique("shelf"), unique("shelf")]
    database, both = Database(Settings(database_url=bare_url)), threading.Barrier(2)
    rivals = database.dialect.name == "postgresql"
    attempts: list[str] = []

    def crosswise(first: str, second: str) -> Callable[[UnitOfWork], None]:
        def work(unit: UnitOfWork) -> None:
            attempts.append(first)
            unit.session.execute(shelves.update().where(shelves.c.name == first).values(name=first))
            if attempts.count(first) == 1 and rivals:
                both.wait(LONG)
            unit.session.execute(shelves.update().where(shelves.c.name == second).values(name=second))

        return work

    async def scenario() -> None:
        async with runner_on(database, worker_threads=2) as runner:
            await runner.run(lambda u: u.session.execute(shelves.insert(), [{"name": n} for n in names]), write=True)
            works = (crosswise(*names), crosswise(*reversed(names)))
            await asyncio.gather(*(runner.run(work, write=True) for work in works))

    asyncio.run(scenario())
    database.dispose()
    # Both may fall victim before one gets through; without a rival nobody does.
    assert len(attempts) >= 3 if rivals else len(attempts) == 2


@pytest.fixture(scope="module")
def burst_router() -> Router:
    """Hand-written routes: with a session, with the caller, without either, and writing."""
    router = Router()

    @router.get("/burst/session")
    def read_with_session(session: SessionDep) -> int:
        return session.scalar(sa.select(sa.func.count()).select_from(User)) or 0

    @router.get("/burst/caller")
    def read_caller(caller: CallerDep) -> str:
        return caller.role

    @router.get("/burst/plain")
    def read_plain() -> Response:
        return Response(b"plain")

    @router.post("/burst/categories", status_code=201)
    def store_category(session: SessionDep) -> str:
        category = Category(name=unique("burst"))
        session.add(category)
        return category.name

    return router


def test_200_at_once_on_the_default_pool(shop_url: str, burst_router: Router) -> None:
    """Generated and hand-written, reading and writing: all succeed, and every row is stored.

    `perf` measures their time.
    """
    app = build_shop(shop_url, burst_router, admin_email=ADMIN_EMAIL, admin_password=ADMIN_PASSWORD)
    with TestClient(app) as before:
        headers = sign_in(before, ADMIN_EMAIL, ADMIN_PASSWORD)
    app = build_shop(shop_url, burst_router, queue_seconds=30)
    assert app.state.settings.worker_threads == 8

    async def scenario() -> None:
        async with running(app) as client:
            client.headers.update(headers)
            names = [unique("burst") for _ in range(20)]
            calls = [client.post("/api/v1/categories", json={"name": name}) for name in names]
            calls += [client.post("/api/v1/burst/categories") for _ in range(20)]
            for _ in range(40):
                calls += [client.get("/api/v1/categories?size=1"), client.get("/api/v1/burst/session")]
                calls += [client.get("/api/v1/burst/caller"), client.get("/api/v1/burst/plain")]
            answers = await asyncio.gather(*calls)
            assert [a.text for a in answers if a.is_error] == []
            written = {a.json() if isinstance(a.json(), str) else a.json()["name"] for a in answers[:40]}
            stored = await client.get("/api/v1/categories?name__startswith=burst&size=100")
            assert written <= {row["name"] for row in stored.json()["items"]}
            assert len(written) == 40
            assert len(answers) == 200

    asyncio.run(scenario())


@pytest.mark.parametrize(("waited", "bound"), [(0.0, None), (0.3, None), (1.0, 0.9), (60.0, 0.1)])
def test_who_has_waited_for_a_thread_waits_less_for_locks(bare: Database, waited: float, bound: float | None) -> None:
    """The total wait is limited."""
    settings = Settings(database_url=str(bare.engine.url), queue_seconds=1.5, lock_seconds=1.5)
    runner = RequestRunner(bare, settings, None)
    queued = time.perf_counter() - waited
    left = runner._attempt(lambda unit: unit._lock_seconds, write=False, queued=queued)
    assert left == (bound if bound is None else pytest.approx(bound, abs=0.09))
    runner.close()


def test_a_server_that_is_set_to_read_only_begins_no_write(bare: Database) -> None:
    """Even if the database would accept it. Reads are served."""

    async def scenario() -> None:
        async with runner_on(bare, read_only=True) as runner:
            with pytest.raises(ReadOnlyDatabaseError, match="READ_ONLY"):
                await runner.run(lambda unit: unit.begin(), write=True)
            assert await runner.run(lambda unit: unit.write, write=False) is False

    asyncio.run(scenario())
