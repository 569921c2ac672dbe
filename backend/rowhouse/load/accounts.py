"""Requests, responses, and the accounts that send them: sign-up, login, refresh, logout and a change of password.

An account signs in once and keeps its tokens. When the access token is about to expire, it uses the refresh token. The
paths are those of docs/contract.md §6. Nothing here reads an OpenAPI document.
"""

import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import httpx2

from rowhouse.load.operations import DEFAULT_PREFIX, FORM, JSON, LOGIN, SIGN_UP

REFRESH, LOGOUT = "/auth/refresh", "/auth/logout"
PASSWORD = "/users/me/password"  # noqa: S105  a path
# An access token that expires sooner is not used any more.
MARGIN_SECONDS = 60.0
# Hashing a password takes a core, so each process sends at most two such requests at a time.
hashing = threading.BoundedSemaphore(2)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request and its valid responses. `name` groups it in statistics.

    `conflicts` are the codes of a 409 that other clients can cause. If `is_foreign`, another client may have deleted
    its row. A stream is read to its end like any other response, but timed to its first byte.
    """

    method: str
    path: str
    name: str
    successes: frozenset[int]
    conflicts: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    is_stream: bool = False
    is_foreign: bool = False

    def conflict_of(self, response: "Response") -> str | None:
        """Return the code of a response that another client caused; None for any other response."""
        is_expected = (
            (response.status == httpx2.codes.CONFLICT and response.code in self.conflicts)
            or (response.status == httpx2.codes.PRECONDITION_FAILED and "If-Match" in self.headers)
            or (response.status == httpx2.codes.NOT_FOUND and self.is_foreign)
        )
        return response.code if is_expected else None

    def error_of(self, response: "Response") -> str | None:
        """Return the error of a response. None for a valid response."""
        if response.status in self.successes or self.conflict_of(response) is not None:
            return None
        return f"{response.status or 'no response'} {response.content[:400].decode(errors='replace')}".strip()


@dataclass(frozen=True, kw_only=True)
class Response:
    """A status and the bytes. The status is 0 if there was no response."""

    status: int
    content: bytes

    def json(self) -> Any:
        """Return the body; None if it is no JSON."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None

    @property
    def code(self) -> str:
        """Return the code of a problem."""
        problem = self.json()
        return str(problem.get("code")) if isinstance(problem, dict) else ""


class UnexpectedResponseError(RuntimeError):
    """A request got a response that is not valid for it."""

    def __init__(self, request: Request, response: Response) -> None:
        self.label = f"{request.method} {request.name}"
        super().__init__(f"{self.label}: {request.error_of(response)}")
        self.status, self.code = response.status, response.code


# Sends a request and records it, but does not check the response.
Send = Callable[[Request], Response]


def sender(client: httpx2.Client) -> Send:
    """Return a function that sends requests with an ordinary client and records nothing."""

    def send(request: Request) -> Response:
        response = client.request(request.method, request.path, headers=dict(request.headers), content=request.body)
        return Response(status=response.status_code, content=response.content)

    return send


def send_checked(send: Send, request: Request) -> Response:
    """Send a request and return its valid response.

    Raises:
        UnexpectedResponseError: the response is not valid.
    """
    response = send(request)
    if request.error_of(response) is not None:
        raise UnexpectedResponseError(request, response)
    return response


@dataclass(kw_only=True)
class Account:
    """One account of the API below `prefix`. A new one has a `role`, with which it signs up at its first request."""

    email: str
    password: str
    role: str | None = None
    prefix: str = DEFAULT_PREFIX
    _access_token: str = ""
    _refresh_token: str = ""
    _expires_at: float = 0.0

    @classmethod
    def new(cls, role: str, *, prefix: str = DEFAULT_PREFIX) -> "Account":
        """Return an account with this role that does not exist yet."""
        name = secrets.token_hex(8)
        return cls(email=f"load-{role}-{name}@example.com", password=f"password-{name}", role=role, prefix=prefix)

    def headers(self, send: Send) -> Mapping[str, str]:
        """Sign up and in if necessary, and return the headers of a request by this account."""
        if not self._access_token:
            if self.role is not None:
                self._sign_up(send, self.role)
                self.role = None
            self.sign_in(send)
        elif time.monotonic() > self._expires_at - MARGIN_SECONDS:
            self.refresh(send)
        return {"Authorization": f"Bearer {self._access_token}"}

    def _sign_up(self, send: Send, role: str) -> None:
        body = {"email": self.email, "password": self.password, "full_name": "Somebody under load", "role": role}
        with hashing:
            send_checked(send, self._post(SIGN_UP, body, success=201))

    def sign_in(self, send: Send) -> None:
        """Get a new pair of tokens for the password."""
        self._access_token, self._refresh_token, self._expires_at = self._log_in(send)

    def refresh(self, send: Send) -> None:
        """Exchange the refresh token for a new pair."""
        response = send_checked(send, self._post(REFRESH, {"refresh_token": self._refresh_token}, success=200))
        self._access_token, self._refresh_token, self._expires_at = _tokens(response)

    def log_out(self, send: Send) -> None:
        """Begin another session and end it. The account's own session continues."""
        _, refresh_token, _ = self._log_in(send)
        send_checked(send, self._post(LOGOUT, {"refresh_token": refresh_token}, success=204))

    def change_password(self, send: Send) -> None:
        """Change the password, which ends every session, and sign in again."""
        new_password = f"password-{secrets.token_hex(8)}"
        body = {"current_password": self.password, "new_password": new_password}
        headers = self.headers(send)
        with hashing:
            send_checked(send, self._post(PASSWORD, body, success=204, headers=headers))
        self.password = new_password
        self.sign_in(send)

    def _log_in(self, send: Send) -> tuple[str, str, float]:
        form = urlencode({"username": self.email, "password": self.password})
        with hashing:
            return _tokens(send_checked(send, self._post(LOGIN, form, success=200)))

    def _post(self, name: str, body: object, *, success: int, headers: Mapping[str, str] | None = None) -> Request:
        is_form = isinstance(body, str)
        return Request(
            method="POST",
            path=f"{self.prefix}{name}",
            name=name,
            successes=frozenset({success}),
            headers={**(headers or {}), "Content-Type": FORM if is_form else JSON},
            body=str(body) if is_form else json.dumps(body),
        )


def _tokens(response: Response) -> tuple[str, str, float]:
    """Return the access token, the refresh token, and when the first expires (monotonic, in seconds)."""
    pair = response.json()
    return pair["access_token"], pair["refresh_token"], time.monotonic() + pair["expires_in"]
