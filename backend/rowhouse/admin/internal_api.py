"""Calls the application's own API in process: one ASGI call, through every layer that a client's request goes through.

Nothing else in this package reaches rows. The call has the network address and the request id of the request to
`/admin`, so that throttling counts it and the log shows both lines under one id.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, unquote

from opentelemetry import propagate
from starlette.types import Message, Receive, Scope, Send

from rowhouse.core.errors import NotAuthenticatedError
from rowhouse.requests.paths import SAFE

# What a request has before it is routed. The rest of the scope belongs to the route of `/admin`.
COPIED_KEYS = ("type", "asgi", "http_version", "scheme", "root_path", "app_root_path", "client", "server")
JSON = "application/json"
SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to one call."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is 2xx."""
        return self.status in SUCCESS

    def json(self) -> Any:
        """Return the body. Numbers with a decimal point are `Decimal`, so that none is rounded."""
        return json.loads(self.body, parse_float=Decimal)

    def problem(self) -> Mapping[str, Any]:
        """Return the problem (RFC 9457) of an error; one that says only the status, if the body is no problem."""
        try:
            found = self.json()
        except ValueError:
            found = None
        return found if isinstance(found, dict) else {"detail": f"The API responded with the status {self.status}."}


def sentence_of(problem: Mapping[str, Any]) -> str:
    """Return a problem as text: its faults with their places if it lists any, else its detail."""
    faults = [": ".join((".".join(map(str, one["loc"][1:])), one["msg"])) for one in problem.get("errors") or ()]
    return "; ".join(faults) or str(problem.get("detail"))


class ApiError(Exception):
    """The API refused what a page needs. The page shows the problem with its status."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.status)


class Api:
    """The API as one account sees it during one request to `/admin`. Without a token it is signed in as nobody."""

    def __init__(self, scope: Scope, token: str | None = None) -> None:
        self._outer = scope
        self._token = token

    def signed_in(self, token: str) -> "Api":
        """Return the same API for the account of an access token."""
        return Api(self._outer, token)

    async def call(
        self, method: str, path: str, *, query: str = "", body: bytes | AsyncIterator[bytes] = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:  # fmt: skip
        """Return the whole response. `path` is the application's own, without a prefix; it and `query` are encoded.

        Raises:
            NotAuthenticatedError: the session has ended.
        """
        collected = _Collected()
        scope = self._scope(method, path, query, headers or {})
        await self._run(scope, _receiving(body), collected.send)
        return self._checked(collected.answer())

    async def get(self, path: str, *, query: str = "") -> Answer:
        """Return the response to a GET.

        Raises:
            ApiError: it is an error.
        """
        answer = await self.call("GET", path, query=query)
        if not answer.is_success:
            raise ApiError(answer)
        return answer

    async def post_json(self, path: str, body: Any) -> Answer:
        """Return the response to a POST of a JSON document."""
        return await self.call("POST", path, body=json.dumps(body).encode(), headers={"content-type": JSON})

    async def stream(self, path: str, *, query: str, receive: Receive, send: Send) -> None:
        """Pass the response to a GET on while it arrives.

        Raises:
            ApiError: it is an error. Nothing has been sent.
        """
        collected = _Collected()
        passes = False

        async def passing(message: Message) -> None:
            nonlocal passes
            if message["type"] == "http.response.start":
                passes = message["status"] in SUCCESS
            await (send if passes else collected.send)(message)

        await self._run(self._scope("GET", path, query, {}), receive, passing)
        if not passes:
            raise ApiError(self._checked(collected.answer()))

    async def _run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the application in a task of its own: what it notes for the log belongs to this call alone."""
        await asyncio.create_task(self._outer["app"](scope, receive, send))

    def _checked(self, answer: Answer) -> Answer:
        if answer.status == NotAuthenticatedError.status and self._token is not None:
            raise NotAuthenticatedError(str(answer.problem().get("detail")))
        return answer

    def _scope(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Scope:
        outer = self._outer
        scope: Scope = {name: outer[name] for name in COPIED_KEYS if name in outer}
        scope["method"], scope["query_string"] = method, query.encode()
        scope["path"] = f"{outer.get('root_path', '')}{unquote(path)}"
        scope["raw_path"] = f"{quote(outer.get('root_path', ''), safe=SAFE)}{path}".encode()
        state = outer["state"]
        scope["state"] = dict(state)
        sent = {"x-request-id": state["request_id"].decode(), **headers}
        propagate.inject(sent)  # the trace of the page, if there is one
        if self._token is not None:
            sent["authorization"] = f"Bearer {self._token}"
        hosts = [pair for pair in outer["headers"] if pair[0] == b"host"]
        scope["headers"] = [*hosts, *((name.encode(), value.encode("latin-1")) for name, value in sent.items())]
        return scope


class _Collected:
    """Collects the messages of a response."""

    def __init__(self) -> None:
        self._start: Message = {}
        self._body: list[bytes] = []

    async def send(self, message: Message) -> None:
        """Keep one message."""
        if message["type"] == "http.response.start":
            self._start = message
        else:
            self._body.append(message.get("body", b""))

    def answer(self) -> Answer:
        """Return the response."""
        headers = {name.decode().lower(): value.decode("latin-1") for name, value in self._start.get("headers", ())}
        return Answer(self._start["status"], headers, b"".join(self._body))


def _receiving(body: bytes | AsyncIterator[bytes]) -> Receive:
    """Return a `receive` for a body. It never reports that the client has gone."""
    is_complete = False

    async def next_part() -> bytes | None:
        return None if isinstance(body, bytes) else await anext(body, None)

    async def receive() -> Message:
        nonlocal is_complete
        if is_complete:
            await asyncio.Event().wait()
        part = await next_part()
        is_complete = part is None
        rest = body if isinstance(body, bytes) else b""
        return {"type": "http.request", "body": rest if part is None else part, "more_body": not is_complete}

    return receive
