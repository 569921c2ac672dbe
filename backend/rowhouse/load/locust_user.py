"""The Locust user that calls every operation of a running API: `ApiUser = locust_user(Profile())` in a locustfile.

The tasks come from the OpenAPI document of the running server, hand-written operations included, so a newly registered
entity is loaded without an edit here. They are shuffled, so each operation is called as often as its weight, in a short
run too: a GET 10 times, another operation on rows 4 times, and batches and files (of 20 rows) and account operations
(sign-up, login, refresh, logout, password, `/users` writes) once. A user signs up in each role and signs in when it
arrives. Between two tasks it waits for two seconds (THINK_SECONDS), plus or minus half. An export is timed to its first
byte and read for at most 256 KiB. At most two users of a process send a password at the same time, because a hash
occupies a core.

Before the load every operation is called once, outside the statistics. One that cannot be called ends the run with its
response; none is skipped but those of the profile's `leave_out`. A headless run exits with 1 if a request failed or an
operation was never called. A conflict that another user caused is no failure: it is counted. Only a Locust process can
import this module: Locust replaces parts of Python in it.
"""

import logging
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httpx2
from locust import FastHttpUser, between, events
from locust.contrib.fasthttp import FAILURE_EXCEPTIONS, FastResponse
from locust.env import Environment
from locust.exception import StopTest
from locust.runners import WorkerRunner

from rowhouse.load.accounts import Account, Request, Response, Send, UnexpectedResponseError, sender
from rowhouse.load.bodies import UnsupportedSchemaError
from rowhouse.load.dry_run import dry_run
from rowhouse.load.fill import fill
from rowhouse.load.hints import project_hints
from rowhouse.load.operations import Api, OperationShuffle, UncallableOperationError
from rowhouse.load.profile import Profile
from rowhouse.load.virtual_user import ConflictError, Learned, VirtualUser

TIMEOUT_SECONDS = 30.0
# A user waits for this time between two tasks, plus or minus half of it.
THINK_SECONDS = float(os.environ.get("THINK_SECONDS", "2"))
STREAM_BYTES, CHUNK_BYTES = 256 * 1024, 16 * 1024
NOT_PREPARED = "the dry run of the operations failed; see the log"
log = logging.getLogger("rowhouse")
logging.getLogger("httpx2").setLevel(logging.WARNING)


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """What the users of this process share: the operations of the server, their roles, and the administrator."""

    host: str
    api: Api
    shuffle: OperationShuffle
    learned: Learned
    administrator: Account
    profile: Profile


class Coordinator:
    """Prepares every test. The process has one."""

    def __init__(self) -> None:
        self.preparation: Preparation | None = None
        self.profile = Profile()
        # The number of rows that each table gets before the load.
        self.rows = 0
        self.conflicts: Counter[str] = Counter()
        # The number of users of this test that have signed in.
        self.arrived = 0
        self._is_fresh = False
        self._lock = threading.Lock()

    def prepare(self, host: str) -> None:
        """Prepare a test before it is started.

        Raises:
            UncallableOperationError: an operation cannot be called, or there is no document.
        """
        with self._lock:
            self._prepare(host)
            self._is_fresh = True

    def begin(self, host: str) -> None:
        """Prepare a test, unless that was just done. The server may have other operations than at the last test.

        Raises:
            UncallableOperationError: as `prepare`.
        """
        with self._lock:
            if not self._is_fresh or self.preparation is None or self.preparation.host != host:
                self._prepare(host)
            self._is_fresh = False
            self.arrived = 0

    def _prepare(self, host: str) -> None:
        profile = self.profile
        with httpx2.Client(base_url=host, timeout=TIMEOUT_SECONDS) as client:
            api = Api(_document(client), project_hints(), leave_out=profile.leave_out)
            administrator = Account(
                email=os.environ.get("ADMIN_EMAIL", profile.admin_email),
                password=os.environ.get("ADMIN_PASSWORD", profile.admin_password),
                prefix=api.prefix,
            )
            learned = dry_run(api, send=sender(client), administrator=administrator, profile=profile)
            if self.rows:
                fill(api, learned, send=sender(client), administrator=administrator, profile=profile, rows=self.rows)
        self.preparation = Preparation(
            host=host,
            api=api,
            shuffle=OperationShuffle(api),
            learned=learned,
            administrator=administrator,
            profile=profile,
        )
        log.info("called each of %d operations once at %s", len(api.operations), host)
        for label, reason in profile.leave_out.items():
            log.info("left out %s: %s", label, reason)


coordinator = Coordinator()


def _document(client: httpx2.Client) -> Any:
    try:
        return client.get("/openapi.json").raise_for_status().json()
    except (httpx2.HTTPError, ValueError) as error:
        raise UncallableOperationError(f"no OpenAPI document at {client.base_url}/openapi.json: {error}") from error


def _call_next(user: "ApiUser") -> None:
    preparation = coordinator.preparation
    if preparation is None:
        raise StopTest(NOT_PREPARED)
    operation = preparation.shuffle.next()
    try:
        # An unexpected response is already in the statistics.
        with suppress(UnexpectedResponseError, ConflictError):
            user.virtual_user.call(operation)
    except (UnsupportedSchemaError, LookupError) as error:
        user.environment.events.request.fire(
            request_type=operation.method,
            name=operation.name,
            response_time=0.0,
            response_length=0,
            exception=error,
            context={},
        )


class ApiUser(FastHttpUser):
    """A Locust user that calls one operation after another. Every request is in the statistics."""

    abstract = True
    tasks = [_call_next]  # noqa: RUF012  Locust declares it so
    wait_time = between(0.5 * THINK_SECONDS, 1.5 * THINK_SECONDS)
    virtual_user: VirtualUser

    def on_start(self) -> None:
        """Sign up and in with accounts of its own."""
        preparation = coordinator.preparation
        if preparation is None:
            raise StopTest(NOT_PREPARED)
        self.virtual_user = VirtualUser(
            preparation.api,
            preparation.learned,
            send=self._sender(),
            administrator=preparation.administrator,
            profile=preparation.profile,
        )
        with suppress(UnexpectedResponseError):
            self.virtual_user.sign_in()
        coordinator.arrived += 1

    def _sender(self) -> Send:
        def send(request: Request) -> Response:
            started = time.perf_counter()
            with self.client.request(
                request.method,
                request.path,
                name=request.name,
                data=request.body,
                headers=dict(request.headers),
                catch_response=True,
                stream=request.is_stream,
            ) as locust_response:
                is_stream = request.is_stream
                response = _read_stream(locust_response, started) if is_stream else _read(locust_response)
                error, conflict = request.error_of(response), request.conflict_of(response)
                if conflict is not None:
                    coordinator.conflicts[f"{request.method} {request.name}: {conflict}"] += 1
                    locust_response.request_meta["context"] = {"conflict": conflict}
                if error is None:
                    locust_response.success()
                else:
                    locust_response.failure(error)
            return response

        return send


def locust_user(profile: Profile | None = None) -> type[ApiUser]:
    """Return the user class for a locustfile.

    Example:
        ApiUser = locust_user(Profile(values={"Book": {"isbn": isbn13}}))
    """
    coordinator.profile = profile or Profile()
    return type("ApiUser", (ApiUser,), {"abstract": False})


def _read(response: FastResponse) -> Response:
    """Read a whole response. One that is cut off counts as none."""
    try:
        return Response(status=response.status_code, content=response.content or b"")
    except FAILURE_EXCEPTIONS:
        return Response(status=0, content=b"")


def _read_stream(response: Any, started: float) -> Response:
    """Read the beginning of a stream and time it to its first byte; an empty stream to its end.

    Locust's own time is to the headers, which are sent before the first row is read. The rest is not read: the client
    closes the connection of a response that is dropped unread.
    """
    try:
        content = bytes(response.stream.read(1)) if response.stream is not None else b""
        response.request_meta["response_time"] = (time.perf_counter() - started) * 1000
        while content and len(content) < STREAM_BYTES:
            chunk = bytes(response.stream.read(CHUNK_BYTES))
            if not chunk:
                break
            content += chunk
        response.request_meta["response_length"] = len(content)
    except FAILURE_EXCEPTIONS:
        return Response(status=0, content=b"")
    return Response(status=response.status_code, content=content)


@events.init.add_listener  # type: ignore[untyped-decorator]  # Locust gives its hooks no types
def _prepare_at_start(environment: Environment, **_: object) -> None:
    """Prepare before anything runs, or end the process."""
    if not environment.host:
        return
    try:
        coordinator.prepare(environment.host)
    except UncallableOperationError as error:
        log.critical("cannot load %s:\n%s", environment.host, error)
        raise SystemExit(1) from error


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust gives its hooks no types
def _prepare_at_test(environment: Environment, **_: object) -> None:
    """Prepare for the host from the web page or from the master."""
    try:
        coordinator.begin(environment.host or "")
    except UncallableOperationError as error:
        log.critical("cannot load %s:\n%s", environment.host, error)
        raise StopTest(str(error)) from None


@events.quitting.add_listener  # type: ignore[untyped-decorator]  # Locust gives its hooks no types
def _set_exit_code(environment: Environment, **_: object) -> None:
    """Let a headless run fail if a request failed or an operation was never called."""
    options = environment.parsed_options
    if isinstance(environment.runner, WorkerRunner) or options is None or not options.headless:
        return
    called = {f"{method} {name}" for name, method in environment.stats.entries}
    operations = coordinator.preparation.api.operations if coordinator.preparation else []
    for conflict, count in coordinator.conflicts.most_common():
        log.info("%d conflicts with other users: %s", count, conflict)
    never = [operation.label for operation in operations if operation.label not in called]
    failures = environment.stats.total.num_failures
    if never or failures or not operations:
        log.error("%d requests failed; never called: %s", failures, ", ".join(never) or "none")
        environment.process_exit_code = 1
