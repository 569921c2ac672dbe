"""The load test of every operation: `locust -f perf/locustfile.py --host http://127.0.0.1:8000`.

With the web page, or `--headless -u 20 -r 10 -t 30s`; `--processes 2` spreads it. It writes: give it a database without rows worth
keeping, migrated, on a server that has an administrator. ADMIN_EMAIL and ADMIN_PASSWORD name that one; the demo's is the default.

The tasks come from the OpenAPI document of the running server, hand-written operations too, so an entity that is registered is
loaded with no edit here. They are dealt from one shuffled deck, so that each operation comes as often as its weight says, in a short
run too: a GET 10 times, another operation on rows 4, and batches and files (of 20 rows) and what makes or changes accounts (sign-up,
login, refresh, logout, password, `/users` writes) once each. A user signs up as a user and as a driver when it comes, signs in, and
works on; between two things that it does it thinks for two seconds (THINK_SECONDS), give or take half. An export counts to its first byte, and is read for 256 KiB at most. Hashing is asked for by two users of a process at a
time, as visitors do, not by all at once.

Before the load every operation is called once, outside the statistics. One that cannot be called ends the run with its answer: none
is skipped. A headless run exits with 1 when a request failed or an operation was never called. Who calls what with which body
stands in perf.visitor, perf.bodies and perf.accounts; thresholds and reports are not this file's: `scripts/perf` runs it with both.
"""

import logging
import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2
from locust import FastHttpUser, between, events
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS, FastResponse
from locust.env import Environment
from locust.exception import StopTest
from locust.runners import WorkerRunner

from perf.accounts import Account, Answer, RefusedError, Request, Send, sender
from perf.bodies import UnmakeableError
from perf.operations import Api, Deck, UncallableOperationError
from perf.rehearsal import rehearse
from perf.visitor import Plan, Visitor

DEMO_EMAIL, DEMO_PASSWORD = "admin@example.com", "rowhouse-demo"
TIMEOUT_SECONDS = 30.0
# A visitor reads for so long before the next thing it does, give or take half of it.
THINK_SECONDS = float(os.environ.get("THINK_SECONDS", "2"))
STREAM_BYTES, BLOCK_BYTES = 256 * 1024, 16 * 1024
NO_STAGE = "the operations could not be rehearsed; see the log"
log = logging.getLogger("rowhouse")
logging.getLogger("httpx2").setLevel(logging.WARNING)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the users of this process share: the server's operations, who may call them, and the administrator."""

    host: str
    api: Api
    deck: Deck
    plan: Plan
    administrator: Account


class Director:
    """Sets the stage for every test; the process has one."""

    def __init__(self) -> None:
        self.stage: Stage | None = None
        # How many users of this test have come and signed in.
        self.arrived = 0
        self._is_fresh = False
        self._setting = threading.Lock()

    def prepare(self, host: str) -> None:
        """Set the stage before a test is asked for.

        Raises:
            UncallableOperationError: an operation cannot be called, or there is no document.
        """
        with self._setting:
            self._set_stage(host)
            self._is_fresh = True

    def begin(self, host: str) -> None:
        """Set the stage for a test, unless that was just done: the server may have other operations than at the last one.

        Raises:
            UncallableOperationError: as `prepare`.
        """
        with self._setting:
            if not self._is_fresh or self.stage is None or self.stage.host != host:
                self._set_stage(host)
            self._is_fresh = False
            self.arrived = 0

    def _set_stage(self, host: str) -> None:
        administrator = Account(
            email=os.environ.get("ADMIN_EMAIL", DEMO_EMAIL),
            password=os.environ.get("ADMIN_PASSWORD", DEMO_PASSWORD),
        )
        with httpx2.Client(base_url=host, timeout=TIMEOUT_SECONDS) as client:
            api = Api(_document(client))
            plan = rehearse(api, send=sender(client), administrator=administrator)
        self.stage = Stage(host=host, api=api, deck=Deck(api), plan=plan, administrator=administrator)
        log.info("%d operations rehearsed at %s", len(api.operations), host)


director = Director()


def _document(client: httpx2.Client) -> Any:
    try:
        return client.get("/openapi.json").raise_for_status().json()
    except (httpx2.HTTPError, ValueError) as error:
        raise UncallableOperationError(f"no OpenAPI document at {client.base_url}/openapi.json: {error}") from error


def _call_next(user: "ApiUser") -> None:
    stage = director.stage
    if stage is None:
        raise StopTest(NO_STAGE)
    operation = stage.deck.draw()
    try:
        # A wrong answer is in the statistics already.
        with suppress(RefusedError):
            user.visitor.call(operation)
    except (UnmakeableError, LookupError) as error:
        user.environment.events.request.fire(
            request_type=operation.method,
            name=operation.name,
            response_time=0.0,
            response_length=0,
            exception=error,
            context={},
        )


class ApiUser(FastHttpUser):
    """A visitor whose every request is in the statistics."""

    tasks = [_call_next]  # noqa: RUF012  Locust declares it so
    wait_time = between(0.5 * THINK_SECONDS, 1.5 * THINK_SECONDS)
    visitor: Visitor

    def on_start(self) -> None:
        """Come with accounts of its own, signed in, and no rows yet."""
        stage = director.stage
        if stage is None:
            raise StopTest(NO_STAGE)
        self.visitor = Visitor(stage.api, stage.plan, send=self._sender(), administrator=stage.administrator)
        with suppress(RefusedError):
            self.visitor.sign_in()
        director.arrived += 1

    def _sender(self) -> Send:
        def send(request: Request) -> Answer:
            started = time.perf_counter()
            with self.client.request(
                request.method,
                request.path,
                name=request.name,
                data=request.body,
                headers=dict(request.headers),
                catch_response=True,
                stream=request.is_stream,
            ) as response:
                answer = _begin(response, started) if request.is_stream else _read(response)
                complaint = request.complaint(answer)
                if complaint is None:
                    response.success()
                else:
                    response.failure(complaint)
            return answer

        return send


def _read(response: FastResponse) -> Answer:
    """The answer to its end; one that is broken off is none."""
    try:
        return Answer(status=response.status_code, content=response.content or b"")
    except FAILURE_EXCEPTIONS:
        return Answer(status=0, content=b"")


def _begin(response: Any, started: float) -> Answer:
    """The beginning of a stream, timed to its first byte; an empty one to its end.

    Locust's own time is to the headers, which are there before the first row is read. What is not read is hung up on: the client
    closes the connection of an answer that is dropped unread.
    """
    try:
        content = bytes(response.stream.read(1)) if response.stream is not None else b""
        response.request_meta["response_time"] = (time.perf_counter() - started) * 1000
        while content and len(content) < STREAM_BYTES:
            block = bytes(response.stream.read(BLOCK_BYTES))
            if not block:
                break
            content += block
        response.request_meta["response_length"] = len(content)
    except FAILURE_EXCEPTIONS:
        return Answer(status=0, content=b"")
    return Answer(status=response.status_code, content=content)


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust gives its hooks no types
def _set_stage_at_start(environment: Environment, **_: object) -> None:
    """Set the stage before anything runs, or end the process."""
    if not environment.host:
        return
    try:
        director.prepare(environment.host)
    except UncallableOperationError as error:
        log.critical("cannot load %s:\n%s", environment.host, error)
        raise SystemExit(1) from error


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust gives its hooks no types
def _set_stage_at_test(environment: Environment, **_: object) -> None:
    """Set it for the host that was typed into the web page, or came from the master."""
    try:
        director.begin(environment.host or "")
    except UncallableOperationError as error:
        log.critical("cannot load %s:\n%s", environment.host, error)
        raise StopTest(str(error)) from None


@events.quitting.add_listener  # type: ignore[untyped-decorator]  # Locust gives its hooks no types
def _judge(environment: Environment, **_: object) -> None:
    """Have a headless run fail for a failed request and for an operation that was never called."""
    options = environment.parsed_options
    if isinstance(environment.runner, WorkerRunner) or options is None or not options.headless:
        return
    called = {f"{method} {name}" for name, method in environment.stats.entries}
    operations = director.stage.api.operations if director.stage else []
    never = [operation.label for operation in operations if operation.label not in called]
    failures = environment.stats.total.num_failures
    if never or failures or not operations:
        log.error("%d requests failed; never called: %s", failures, ", ".join(never) or "none")
        environment.process_exit_code = 1
