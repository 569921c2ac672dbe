"""Adds a request id and security headers to every response, and writes a log line for it.

One plain ASGI middleware, because each one costs every request. Must not read bodies; removes them from responses to
HEAD.
"""

import asyncio
import random
import re
import time
from typing import Any

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rowhouse.core.error_causes import report_failure
from rowhouse.core.errors import UnavailableError
from rowhouse.core.logging_config import OWN_POLICY, request_state
from rowhouse.core.problems import problem_response
from rowhouse.health.drain import DRAINING, Drain
from rowhouse.metrics.recorder import Metrics

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
# The last two do not fall back to `default-src` (CSP level 3 §6.3).
POLICY = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
CLOSED_POLICY = (b"content-security-policy", POLICY)
SECURITY_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    CLOSED_POLICY,
]
# For a year, and for this host only: its subdomains may belong to others (RFC 6797 §6.1).
HTTPS_ONLY = (b"strict-transport-security", b"max-age=31536000")
log = structlog.get_logger("http")


class RequestMiddleware:
    """Keeps a well-formed `X-Request-ID` or creates one. Logs method, path, status, milliseconds, client and account.

    A response with a content policy of its own says so by `OWN_POLICY` in the request's `state`. `last_resort` responds
    if the application has failed. `drain` knows whether the server is shutting down. `metrics` counts requests, unless
    it is None.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        access_log: bool,
        last_resort: ASGIApp,
        drain: Drain,
        metrics: Metrics | None = None,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._drain = drain
        self._last_resort = last_resort
        self._access_log = access_log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the ASGI application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        request_state.set(state)
        structlog.contextvars.bind_contextvars(request_id=request_id.decode())
        added = _headers(scope, request_id)
        status, has_started = 500, False
        send = _without_body(send) if scope["method"] == "HEAD" else send

        async def send_with_headers(message: Message) -> None:
            nonlocal status, has_started
            if message["type"] == "http.response.start":
                status, has_started = message["status"], True
                if OWN_POLICY in state:
                    added.remove(CLOSED_POLICY)
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        try:
            await self._app(scope, receive, send_with_headers)
        # Every error gets a response; one that none can be sent for is raised again.
        except (Exception, asyncio.CancelledError) as error:
            respond = send_with_headers if not has_started else None
            if not await self._handle_failure(error, scope, receive, respond):
                raise  # for the server to log
        finally:
            self._record(scope, state, status, time.perf_counter() - started)

    async def _handle_failure(self, error: BaseException, scope: Scope, receive: Receive, respond: Send | None) -> bool:
        """Send an error response by `respond`, if none has started.

        Return True if the error needs no further handling.
        """
        if not isinstance(error, asyncio.CancelledError):
            # An error of middleware in between: for the application's own errors, Starlette's handler inside has
            # responded.
            report_failure(scope, error)
            if respond is not None:
                await self._last_resort(scope, receive, respond)
            return False
        if not self._drain.has_begun:
            return False
        # The server cancels running requests after SHUTDOWN_SECONDS. A response that has started is cut off.
        log.warning("cut off after SHUTDOWN_SECONDS", method=scope["method"], path=scope["path"])
        if respond is not None:
            await problem_response(UnavailableError(DRAINING))(scope, receive, respond)
        return True

    def _record(self, scope: Scope, state: dict[str, Any], status: int, seconds: float) -> None:
        """Count the request and log it, as the settings say."""
        if self._metrics is not None:
            self._metrics.end_request(scope, status, seconds)
        if not self._access_log:
            return
        log.info(
            "request",
            method=scope["method"],
            path=scope["path"],
            status=status,
            duration_ms=round(seconds * 1000, 2),
            client=(scope.get("client") or (None,))[0],
            account=state.get("account"),
            request_id=state["request_id"].decode(),
        )


def _without_body(send: Send) -> Send:
    """Return a `send` for HEAD, which has the headers of GET and no body (RFC 9110 §9.3.2)."""

    async def send_headers(message: Message) -> None:
        await send({**message, "body": b""} if "body" in message else message)

    return send_headers


def _headers(scope: Scope, request_id: bytes) -> list[tuple[bytes, bytes]]:
    found = [(b"x-request-id", request_id), *SECURITY_HEADERS]
    # The server sets the scheme. It believes a proxy's header only from a trusted proxy (FORWARDED_ALLOW_IPS).
    if scope.get("scheme") == "https":
        found.append(HTTPS_ONLY)
    return found


def _request_id(scope: Scope) -> bytes:
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            given: bytes = value
            return given if REQUEST_ID.fullmatch(given) else _new_id()
    return _new_id()


def _new_id() -> bytes:
    """Return 128 random bits in hex.

    `uuid4` makes a system call, which releases the interpreter lock to other threads.
    """
    return b"%032x" % random.getrandbits(128)  # nosec B311  # a name, not a secret
