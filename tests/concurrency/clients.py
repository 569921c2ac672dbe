"""Clients that check every response: it is complete, in time, and never a 500."""

import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import httpx2

from tests.concurrency.servers import Server
from tests.conftest import PASSWORD, unique

Headers = dict[str, str]
CLIENTS = 16
# The most that any answer may take, as the contract has it (docs/contract.md §9).
ANSWER_SECONDS = 2.0
# A stalled answer is awaited for longer, so that the test can say how long it took.
PATIENCE_SECONDS = 30.0


class TimedClient(httpx2.Client):
    """A client of a server's API that many threads share; each answer's time is taken, and its status looked at."""

    def __init__(self, server: Server) -> None:
        super().__init__(base_url=f"{server.url}/api/v1", timeout=PATIENCE_SECONDS)

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        """The answer; an AssertionError when it comes late or is a 5xx."""
        begun = time.perf_counter()
        answer = super().send(request, **options)
        taken = time.perf_counter() - begun
        assert taken <= ANSWER_SECONDS, f"{request.method} {request.url} took {taken:.2f} s"
        assert answer.status_code < 500, f"{request.method} {request.url}: {answer.status_code} {answer.text}"
        return answer


def statuses(answers: Iterable[httpx2.Response]) -> Counter[tuple[int, str | None]]:
    """How often each status came, with its code."""
    return Counter((answer.status_code, None if answer.is_success else answer.json()["code"]) for answer in answers)


def sign_up(client: httpx2.Client, role: str) -> Headers:
    """The headers of a new account."""
    email = f"{unique(role)}@example.com"
    body = {"email": email, "password": PASSWORD, "full_name": "Racer", "role": role}
    answer = client.post("/users", json=body)
    assert answer.status_code == 201, answer.text
    return sign_in(client, email, PASSWORD)


def log_in(client: httpx2.Client, email: str, password: str = PASSWORD) -> dict[str, Any]:
    """The pair of tokens of a new session."""
    answer = client.post("/auth/login", data={"username": email, "password": password})
    assert answer.status_code == 200, answer.text
    pair: dict[str, Any] = answer.json()
    return pair


def sign_in(client: httpx2.Client, email: str, password: str) -> Headers:
    """The headers of a caller who has signed in."""
    return {"Authorization": f"Bearer {log_in(client, email, password)['access_token']}"}


def make(client: httpx2.Client, path: str, body: dict[str, Any], headers: Headers) -> int:
    """The id of a new row."""
    answer = client.post(path, json=body, headers=headers)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])
