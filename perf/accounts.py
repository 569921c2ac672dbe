"""What goes over the wire, and the accounts that call: sign-up, sign-in, refresh, sign-out and a change of password.

An account signs in once and keeps its tokens; when the access token is about to expire it spends the refresh token. The paths
are those of the contract's §6. Nothing here knows an OpenAPI document.
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

from perf.operations import FORM, JSON, PREFIX

SIGN_UP, LOGIN, REFRESH, LOGOUT = "/users", "/auth/login", "/auth/refresh", "/auth/logout"
PASSWORD = "/users/me/password"  # noqa: S105  a path
# A token that has so long to live is not used any more.
MARGIN_SECONDS = 60.0
# Hashing takes a core for its time: each process asks for so much of it at once, as a sign-in page with visitors does.
hashing = threading.BoundedSemaphore(2)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request and the answers that are right. `name` groups it in statistics; `conflicts` are right codes of a 409.

    The answer of a stream is read to its end like any other, but judged by when it begins.
    """

    method: str
    path: str
    name: str
    successes: frozenset[int]
    conflicts: frozenset[str] = frozenset()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    is_stream: bool = False

    def complaint(self, answer: "Answer") -> str | None:
        """What is wrong with the answer; None for a right one."""
        if answer.status in self.successes:
            return None
        if answer.status == httpx2.codes.CONFLICT and answer.code in self.conflicts:
            return None
        return f"{answer.status or 'no answer'} {answer.content[:400].decode(errors='replace')}".strip()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A status, 0 where there was no answer at all, and the bytes."""

    status: int
    content: bytes

    def json(self) -> Any:
        """The body; None where it is none."""
        try:
            return json.loads(self.content)
        except ValueError:
            return None

    @property
    def code(self) -> str:
        """The problem's code."""
        problem = self.json()
        return str(problem.get("code")) if isinstance(problem, dict) else ""


class RefusedError(RuntimeError):
    """A request got a wrong answer."""

    def __init__(self, request: Request, answer: Answer) -> None:
        super().__init__(f"{request.method} {request.name}: {request.complaint(answer)}")
        self.status, self.code = answer.status, answer.code


# Carries a request and records it; it does not judge.
Send = Callable[[Request], Answer]


def sender(client: httpx2.Client) -> Send:
    """Carries requests over an ordinary client and records nothing."""

    def send(request: Request) -> Answer:
        response = client.request(request.method, request.path, headers=dict(request.headers), content=request.body)
        return Answer(status=response.status_code, content=response.content)

    return send


def ask(send: Send, request: Request) -> Answer:
    """The answer, if it is a right one.

    Raises:
        RefusedError: any other.
    """
    answer = send(request)
    if request.complaint(answer) is not None:
        raise RefusedError(request, answer)
    return answer


@dataclass(kw_only=True)
class Account:
    """One account. One that does not exist yet has a `role`, and is signed up with it at its first request."""

    email: str
    password: str
    role: str | None = None
    _access_token: str = ""
    _refresh_token: str = ""
    _expires_at: float = 0.0

    @classmethod
    def new(cls, role: str) -> "Account":
        """An account with this role that does not exist yet."""
        name = secrets.token_hex(8)
        return cls(email=f"load-{role}-{name}@example.com", password=f"password-{name}", role=role)

    def headers(self, send: Send) -> Mapping[str, str]:
        """The headers of a request by this account, which is signed in by then."""
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
            ask(send, _posting(SIGN_UP, body, success=201))

    def sign_in(self, send: Send) -> None:
        """Get a new pair of tokens for the password."""
        self._access_token, self._refresh_token, self._expires_at = self._log_in(send)

    def refresh(self, send: Send) -> None:
        """Spend the refresh token for a new pair."""
        answer = ask(send, _posting(REFRESH, {"refresh_token": self._refresh_token}, success=200))
        self._access_token, self._refresh_token, self._expires_at = _pair(answer)

    def log_out(self, send: Send) -> None:
        """End a session that was begun for it; the account's own goes on."""
        _, refresh_token, _ = self._log_in(send)
        ask(send, _posting(LOGOUT, {"refresh_token": refresh_token}, success=204))

    def change_password(self, send: Send) -> None:
        """Take another password, which ends every session, and sign in with it."""
        new_password = f"password-{secrets.token_hex(8)}"
        body = {"current_password": self.password, "new_password": new_password}
        headers = self.headers(send)
        with hashing:
            ask(send, _posting(PASSWORD, body, success=204, headers=headers))
        self.password = new_password
        self.sign_in(send)

    def _log_in(self, send: Send) -> tuple[str, str, float]:
        form = urlencode({"username": self.email, "password": self.password})
        with hashing:
            return _pair(ask(send, _posting(LOGIN, form, success=200)))


def _posting(name: str, body: object, *, success: int, headers: Mapping[str, str] | None = None) -> Request:
    is_form = isinstance(body, str)
    return Request(
        method="POST",
        path=f"{PREFIX}{name}",
        name=name,
        successes=frozenset({success}),
        headers={**(headers or {}), "Content-Type": FORM if is_form else JSON},
        body=str(body) if is_form else json.dumps(body),
    )


def _pair(answer: Answer) -> tuple[str, str, float]:
    pair = answer.json()
    return pair["access_token"], pair["refresh_token"], time.monotonic() + pair["expires_in"]
