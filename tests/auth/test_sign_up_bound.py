"""Sign-ups are limited for each network address before a password is hashed, and do not use the threads of logins."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from rowhouse.auth import routes
from rowhouse.core.clock import now, set_clock
from rowhouse.core.security import hash_password
from tests.auth.conftest import API, accounts, log_in, make_account, new_email, sign_up_with
from tests.conftest import PASSWORD, unique

BOUND, MINUTES = 3, 10


@pytest.fixture(scope="module")
def strict(backend: str, make_app: Callable[..., TestClient]) -> FastAPI:
    """An application that allows 3 sign-ups from one address in ten minutes."""
    client = make_app(backend, sign_ups_per_address=BOUND, sign_up_minutes=MINUTES)
    assert isinstance(client.app, FastAPI)
    return client.app


@pytest.fixture
def at(strict: FastAPI) -> Callable[..., TestClient]:
    """`at(address)` returns a client with an address, by default one that no other test uses."""

    def make(address: str | None = None) -> TestClient:
        return TestClient(strict, raise_server_exceptions=False, client=(address or unique("address"), 50000))

    return make


def test_past_the_bound_sign_ups_are_refused(at: Callable[..., TestClient], strict: FastAPI) -> None:
    """From that address. The response says how long, and nothing is stored."""
    client, last = at(), new_email()
    assert [sign_up_with(client).status_code for _ in range(BOUND)] == [201] * BOUND
    refused = sign_up_with(client, email=last)
    assert refused.status_code == 429
    assert refused.json()["code"] == "too_many_sign_ups"
    assert 1 <= int(refused.headers["Retry-After"]) <= MINUTES * 60
    assert accounts(strict, last) == []
    assert sign_up_with(at()).status_code == 201


def test_the_bound_is_for_a_time(at: Callable[..., TestClient]) -> None:
    """The stored count expires in real time, so the test checks that the stated wait gets shorter."""
    client = at()
    for _ in range(BOUND):
        sign_up_with(client)
    first = int(sign_up_with(client).headers["Retry-After"])
    later = now() + timedelta(minutes=4)
    with set_clock(lambda: later):
        second = int(sign_up_with(client).headers["Retry-After"])
    assert first - second in (239, 240, 241)


def test_an_ipv6_network_is_one_address(at: Callable[..., TestClient]) -> None:
    """Its owner has 2^64 addresses. The next network has a limit of its own."""
    network = "2001:db8:5:6"
    answers = [sign_up_with(at(f"{network}::{n + 1:x}")).status_code for n in range(BOUND + 1)]
    assert answers == [201] * BOUND + [429]
    assert sign_up_with(at("2001:db8:5:7::1")).status_code == 201


def test_a_taken_address_counts(at: Callable[..., TestClient]) -> None:
    """It costs a hash, and reveals that the address has an account."""
    client = at()
    email = sign_up_with(client).json()["email"]
    answers = [sign_up_with(client, email=email).status_code for _ in range(BOUND)]
    assert answers == [409] * (BOUND - 1) + [429]


@pytest.mark.parametrize("wrong", [{"email": "nobody"}, {"password": "short"}, {"role": "admin"}, {"more": 1}])
def test_an_invalid_sign_up_is_not_counted(at: Callable[..., TestClient], wrong: dict[str, Any]) -> None:
    """No password is hashed."""
    client = at()
    assert {sign_up_with(client, **wrong).status_code for _ in range(BOUND + 2)} == {422}
    assert sign_up_with(client).status_code == 201


def test_a_refused_sign_up_is_not_hashed(at: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with an `Idempotency-Key`: a new key gives no new limit."""
    client, hashed = at(), []

    def watch(password: str, *, cost: int) -> str:
        hashed.append(password)
        return hash_password(password, cost=cost)

    monkeypatch.setattr(routes, "hash_password", watch)
    body = {"password": PASSWORD, "full_name": "Some Body"}
    answers = [
        client.post(
            f"{API}/users", json={**body, "email": new_email()}, headers={"Idempotency-Key": unique("key")}
        ).status_code
        for _ in range(BOUND + 2)
    ]
    assert answers == [201] * BOUND + [429] * 2
    assert len(hashed) == BOUND


def test_of_a_burst_the_bound_get_through(at: Callable[..., TestClient]) -> None:
    """However many arrive at once."""
    client = at()
    with ThreadPoolExecutor(8) as threads:
        answers = [answer.status_code for answer in threads.map(lambda _: sign_up_with(client), range(12))]
    assert sorted(answers) == [201] * BOUND + [429] * 9


def test_slow_sign_ups_leave_logins_their_threads(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a dozen sign-ups wait, a login is handled at once."""
    account = make_account(client)
    seconds = 0.3

    def slow(password: str, *, cost: int) -> str:
        time.sleep(seconds)
        return hash_password(password, cost=cost)

    monkeypatch.setattr(routes, "hash_password", slow)
    with ThreadPoolExecutor(12) as threads:
        signing_up = [threads.submit(sign_up_with, client) for _ in range(12)]
        time.sleep(seconds)
        started = time.perf_counter()
        assert log_in(client, account.email).status_code == 200
        assert time.perf_counter() - started < seconds
        answers = {one.result().status_code for one in signing_up}
    assert answers <= {201, 503}
    assert 201 in answers
