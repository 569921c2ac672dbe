"""The general rate limit: how many requests an account, or a network address without an account, may send in a window.

One ASGI middleware, present only when `RATE_LIMIT` is set. Must not query the database: a valid access token identifies
its account. Every response states the limit and the rest of it (draft-ietf-httpapi-ratelimit-headers-11).
"""

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import Any

from limits import parse
from limits.aio.storage import Storage as AsyncStorage
from limits.errors import StorageError
from limits.storage import MemoryStorage
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rowhouse.core.clock import now
from rowhouse.core.errors import NotAuthenticatedError, RateLimitError
from rowhouse.core.problems import problem_response
from rowhouse.core.security import bearer_token
from rowhouse.requests.counters import STORAGE_SECONDS, Outage, network_of, shared_async_storage
from rowhouse.requests.paths import route_path

SubjectOf = Callable[[str], str | None]
POLICY = '"default"'


class RateLimit:
    """Counts the requests below any of `prefixes` in windows that begin at multiples of their length on every server.

    `rate` is text such as "600/minute". `subject_of` returns the account of an access token, None for an invalid token.
    """

    def __init__(
        self, app: ASGIApp, *, rate: str, storage_url: str, prefixes: Iterable[str], subject_of: SubjectOf
    ) -> None:
        limit = parse(rate)
        self._app = app
        self._max_requests, self._seconds = limit.amount, limit.get_expiry()
        self._policy = (b"ratelimit-policy", f"{POLICY};q={self._max_requests};w={self._seconds}".encode())
        self._prefixes = tuple(f"{prefix}/" for prefix in prefixes)
        self._subject_of = subject_of
        self._own = MemoryStorage()
        self._url = storage_url
        self._shared: AsyncStorage | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._outage = Outage("requests")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the ASGI application."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
        elif scope["type"] == "http" and (route_path(scope) + "/").startswith(self._prefixes):
            await self._limit(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, receive, send)
        finally:
            if self._shared is not None:
                client: Any = self._shared
                await client.bridge.get_connection().aclose()

    async def _limit(self, scope: Scope, receive: Receive, send: Send) -> None:
        instant = now().timestamp()
        window = int(instant // self._seconds)
        left = max(1, math.ceil((window + 1) * self._seconds - instant))
        taken = await self._count(f"rate/{self._subject(scope)}/{window}")
        state = f"{POLICY};r={max(0, self._max_requests - taken)};t={left}".encode()
        headers = [self._policy, (b"ratelimit", state)]

        async def send_with_state(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *headers]
            await send(message)

        if taken > self._max_requests:
            await problem_response(RateLimitError(left))(scope, receive, send_with_state)
        else:
            await self._app(scope, receive, send_with_state)

    def _subject(self, scope: Scope) -> str:
        """Return the account or address of a request, as part of a key."""
        for name, value in scope["headers"]:
            if name == b"authorization":
                try:
                    account = self._subject_of(bearer_token(value.decode("latin-1")))
                except NotAuthenticatedError:
                    break
                if account is not None:
                    return f"account {account}"
        client = scope.get("client")
        return f"address {network_of(client[0]) if client else ''}"

    async def _count(self, key: str) -> int:
        """Count a request. Return the number of requests in this window."""
        shared = self._storage()
        if shared is not None and not self._outage.lasts():
            try:
                async with asyncio.timeout(STORAGE_SECONDS):
                    taken = await shared.incr(key, self._seconds)
            except (StorageError, TimeoutError) as error:
                self._outage.begin(error)
            else:
                self._outage.end()
                return taken
        return self._own.incr(key, self._seconds)

    def _storage(self) -> AsyncStorage | None:
        """Return the shared storage, whose connections belong to one event loop."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop, self._shared = loop, shared_async_storage(self._url)
        return self._shared
