"""Failed logins are throttled: 429 with `Retry-After`. The response reveals nothing about the account."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bcrypt
import pytest
from fastapi import FastAPI
from limits.errors import StorageError
from limits.storage import MemoryStorage
from starlette.testclient import TestClient
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rowhouse.core.openapi import resolved
from rowhouse.requests import counters as counting
from tests.auth.conftest import API, Account, accounts, log_in, make_account, new_email, refresh, sign_up_with
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD, sign_in, unique

BOUND, EVERYWHERE, PER_ADDRESS = 3, 8, 12
NEW = "another-horse"


@pytest.fixture(scope="module")
def strict(backend: str, make_app: Callable[..., TestClient]) -> FastAPI:
    """An application that allows 3 failures for an account from one address, 8 from everywhere, and 12 from an address."""
    client = make_app(
        backend,
        login_failures_per_account=BOUND,
        login_failures_per_account_everywhere=EVERYWHERE,
        login_failures_per_address=PER_ADDRESS,
    )
    assert isinstance(client.app, FastAPI)
    return client.app


def client_at(app: Any, address: str) -> TestClient:
    """Return a client of a running application with a network address."""
    return TestClient(app, raise_server_exceptions=False, client=(address, 50000))


@pytest.fixture
def guesser(strict: FastAPI) -> TestClient:
    """A client with an address that no other test uses."""
    return client_at(strict, unique("address"))


def guess(client: TestClient, email: str) -> Any:
    """Return the response to a wrong password."""
    return log_in(client, email, "wrong-password")


def change_password(account: Account, current: str) -> Any:
    """Return the response to a change of the password."""
    body = {"current_password": current, "new_password": NEW}
    return account.client.post(f"{API}/users/me/password", json=body, headers=account.headers)


def told(answer: Any) -> tuple[Any, ...]:
    """Return everything that a response reveals, without the request id and the seconds."""
    headers = {n: v for n, v in answer.headers.items() if n not in ("x-request-id", "retry-after")}
    return answer.status_code, answer.json(), headers, "retry-after" in answer.headers


def test_after_the_limit_no_password_is_verified(guesser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """429 for the right password too, without a hash. Other accounts and addresses are not affected."""
    account, other = make_account(guesser), make_account(guesser)
    assert [guess(guesser, account.email).status_code for _ in range(BOUND)] == [401] * BOUND
    with monkeypatch.context() as patch:
        patch.setattr(bcrypt, "checkpw", lambda *_: pytest.fail("a password was verified"))
        answer = log_in(guesser, account.email.upper())
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert answer.headers["content-type"] == "application/problem+json"
    assert 0 < int(answer.headers["retry-after"]) <= 15 * 60
    assert log_in(guesser, other.email).status_code == 200
    assert log_in(client_at(guesser.app, unique("address")), account.email).status_code == 200


def test_a_known_and_an_unknown_address_are_refused_alike(guesser: TestClient) -> None:
    """Below and past the limit, at the same attempt."""
    known, unknown = make_account(guesser).email, new_email()
    for status in [401] * BOUND + [429] * 2:
        answers = [guess(guesser, email) for email in (known, unknown)]
        assert told(answers[0]) == told(answers[1])
        assert answers[0].status_code == status


def test_right_passwords_are_not_counted(guesser: TestClient) -> None:
    """One also clears the failures before it."""
    account = make_account(guesser)
    assert {log_in(guesser, account.email).status_code for _ in range(2 * PER_ADDRESS)} == {200}
    for _ in range(2):
        assert [guess(guesser, account.email).status_code for _ in range(BOUND - 1)] == [401] * (BOUND - 1)
        assert log_in(guesser, account.email).status_code == 200


def test_an_address_is_slowed_whatever_the_account(guesser: TestClient) -> None:
    """One password tried on many accounts. A success does not clear the count.

    Accounts with an earlier success there still sign in.
    """
    own, strange = make_account(guesser), sign_up_with(guesser).json()["email"]
    statuses = [guess(guesser, new_email()).status_code for _ in range(PER_ADDRESS - 1)]
    assert log_in(guesser, own.email).status_code == 200
    assert [*statuses, guess(guesser, new_email()).status_code] == [401] * PER_ADDRESS
    assert guess(guesser, new_email()).status_code == 429
    assert log_in(guesser, strange).status_code == 429
    assert log_in(client_at(guesser.app, unique("address")), strange).status_code == 200
    assert log_in(guesser, own.email).status_code == 200


def test_failures_of_others_do_not_lock_the_owner_out(guesser: TestClient) -> None:
    """Many addresses are limited together, but not the owner's."""
    account = make_account(guesser)
    strangers = [client_at(guesser.app, unique("address")) for _ in range(EVERYWHERE + 1)]
    assert [guess(stranger, account.email).status_code for stranger in strangers] == [401] * EVERYWHERE + [429]
    assert log_in(strangers[0], account.email).status_code == 429
    assert log_in(guesser, account.email).status_code == 200
    assert refresh(strangers[0], account.refresh_token).status_code == 200


def test_of_a_burst_only_the_limit_is_verified(guesser: TestClient) -> None:
    """Of sixteen concurrent guesses three are checked."""
    email = make_account(guesser).email
    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(lambda _n: guess(guesser, email), range(16)))
    assert Counter(answer.status_code for answer in answers) == {401: BOUND, 429: 16 - BOUND}


def test_a_stolen_token_guesses_no_faster(guesser: TestClient) -> None:
    """A change of the password shares the limit of logins. Nothing changes, and the session continues."""
    account = make_account(guesser)
    assert isinstance(guesser.app, FastAPI)
    before = accounts(guesser.app, account.email)
    assert [change_password(account, "wrong-password").status_code for _ in range(BOUND)] == [403] * BOUND
    answer = change_password(account, PASSWORD)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_attempts")
    assert int(answer.headers["retry-after"]) > 0
    assert log_in(guesser, account.email).status_code == 429
    assert accounts(guesser.app, account.email) == before
    assert account.me().status_code == 200


def test_a_disabled_account_is_no_failure(guesser: TestClient) -> None:
    """With the right password it is 403 every time."""
    account, boss = make_account(guesser), sign_in(guesser, ADMIN_EMAIL, ADMIN_PASSWORD)
    guesser.patch(f"{API}/users/{account.id}", json={"is_active": False}, headers=boss)
    assert {log_in(guesser, account.email).status_code for _ in range(2 * BOUND)} == {403}


def test_a_client_cannot_choose_its_address(guesser: TestClient) -> None:
    """Headers of the client have no effect."""
    email = new_email()
    statuses = []
    for number in range(BOUND + 1):
        address = f"203.0.113.{number}"
        guesser.headers = {"X-Forwarded-For": address, "X-Real-IP": address, "Forwarded": f"for={address}"}
        statuses.append(guess(guesser, email).status_code)
    assert statuses == [401] * BOUND + [429]


def test_a_trusted_proxy_names_the_client(strict: FastAPI) -> None:
    """As uvicorn reads it with `FORWARDED_ALLOW_IPS`.

    Addresses before the proxy's own entry come from the client and are ignored.
    """
    application: Any = strict
    behind = ProxyHeadersMiddleware(application, trusted_hosts="192.0.2.250")
    proxied, stranger = client_at(behind, "192.0.2.250"), client_at(behind, "192.0.2.77")
    email, addresses = new_email(), [f"198.51.100.{number}" for number in range(2)]

    def ask(client: TestClient, forwarded: str) -> int:
        form = {"username": email, "password": "wrong-password"}
        headers = {"X-Forwarded-For": forwarded}
        return client.post(f"{API}/auth/login", data=form, headers=headers).status_code

    assert [ask(proxied, f"1.1.1.{n}, {addresses[0]}") for n in range(BOUND + 1)] == [401] * BOUND + [429]
    assert ask(proxied, addresses[1]) == 401
    assert [ask(stranger, f"1.1.1.{n}") for n in range(BOUND + 1)] == [401] * BOUND + [429]


class Gone(MemoryStorage):
    """A storage that does not respond."""

    STORAGE_SCHEME = ("gone",)  # type: ignore[assignment]  # the library's own is a list; not that of its parent

    def get(self, key: str) -> int:
        """Fail like the library."""
        raise StorageError(ConnectionError(key))


def test_without_the_storage_logins_go_on(
    backend: str, make_app: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """This server's own counts still limit them."""
    monkeypatch.setattr(counting, "storage_from_string", lambda *_, **_options: Gone())
    client = make_app(backend, login_failures_per_account=BOUND, rate_limit_storage_url="redis://gone.example")
    account = make_account(client)
    assert log_in(client, account.email).status_code == 200
    assert [guess(client, account.email).status_code for _ in range(BOUND + 1)] == [401] * BOUND + [429]


def test_the_document_says_so(client: TestClient) -> None:
    """429 with its header, where passwords are tried and where idempotency keys are accepted, and nowhere else."""
    paths = resolved(client.get("/openapi.json").json())["paths"]
    operations = [(path, operation) for path, item in paths.items() for operation in item.values()]
    found = {path: one["responses"]["429"]["headers"] for path, one in operations if "429" in one["responses"]}
    keyed = {path for path, one in operations if "Idempotency-Key" in str(one.get("parameters"))}
    assert set(found) == {f"{API}/auth/login", f"{API}/users/me/password", *keyed}
    assert f"{API}/users" in keyed
    assert all("Retry-After" in headers for headers in found.values())
