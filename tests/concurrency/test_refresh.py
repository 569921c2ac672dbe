"""Sixteen copies of one refresh token on two servers: a retry within the grace period, a theft after it."""

import httpx2
import pytest

from tests.concurrency.clients import CLIENTS, log_in, statuses
from tests.concurrency.servers import together
from tests.concurrency.sessions import Sessions, refresh
from tests.concurrency.tables import Tables
from tests.conftest import PASSWORD, unique

DEAD = (401, "refresh_token_invalid")


@pytest.fixture(scope="module")
def email(clients: list[httpx2.Client]) -> str:
    """The address of an account."""
    address = f"{unique('refresher')}@example.com"
    body = {"email": address, "password": PASSWORD, "full_name": "Refresher"}
    assert clients[0].post("/users", json=body).status_code == 201
    return address


@pytest.fixture
def token(clients: list[httpx2.Client], email: str) -> str:
    """The refresh token of a new session."""
    return str(log_in(clients[0], email)["refresh_token"])


@pytest.fixture
def sessions(tables: Tables) -> Sessions:
    """The tokens below the servers."""
    return Sessions(tables)


def test_copies_within_the_grace_all_get_a_pair_of_their_own(
    clients: list[httpx2.Client], sessions: Sessions, token: str
) -> None:
    """Nothing is revoked; every one of the pairs serves on, and one of them no more than once."""
    answers = together(lambda number: refresh(clients[number % 2], token), CLIENTS)
    assert statuses(answers) == {(200, None): CLIENTS}
    pairs = [answer.json() for answer in answers]
    assert len({pair["refresh_token"] for pair in pairs} | {token}) == CLIENTS + 1
    assert (sessions.size(token), sessions.unspent(token), sessions.revoked(token)) == (CLIENTS + 1, CLIENTS, 0)
    for pair in pairs:
        assert refresh(clients[1], pair["refresh_token"]).status_code == 200
        me = clients[0].get("/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
        assert me.status_code == 200
    assert (sessions.size(token), sessions.revoked(token)) == (2 * CLIENTS + 1, 0)


def test_copies_after_the_grace_all_end_the_family(
    clients: list[httpx2.Client], sessions: Sessions, email: str, token: str
) -> None:
    """No copy gets a pair, what followed from the token is dead, and the account's other session goes on."""
    other = log_in(clients[0], email)["refresh_token"]
    successor = refresh(clients[0], token).json()["refresh_token"]
    sessions.age(token)
    answers = together(lambda number: refresh(clients[number % 2], token), CLIENTS)
    assert statuses(answers) == {DEAD: CLIENTS}
    assert statuses([refresh(client, successor) for client in clients]) == {DEAD: 2}
    assert (sessions.size(token), sessions.revoked(token)) == (2, 2)
    assert refresh(clients[1], other).status_code == 200


@pytest.mark.parametrize("thief_first", [True, False])
def test_a_theft_ends_the_session_that_is_refreshed_meanwhile(
    clients: list[httpx2.Client], sessions: Sessions, token: str, *, thief_first: bool
) -> None:
    """Half send the spent token, half its successor: those may get a pair, but none that outlives the theft."""
    successor = refresh(clients[0], token).json()["refresh_token"]
    sessions.age(token)

    def send(number: int) -> httpx2.Response:
        return refresh(clients[number // 2 % 2], token if (number % 2 == 0) is thief_first else successor)

    answers = together(send, CLIENTS)
    assert statuses(answers[0 if thief_first else 1 :: 2]) == {DEAD: CLIENTS // 2}
    rightful = answers[1 if thief_first else 0 :: 2]
    assert set(statuses(rightful)) <= {(200, None), DEAD}
    for answer in rightful:
        if answer.is_success:
            assert statuses([refresh(clients[1], answer.json()["refresh_token"])]) == {DEAD: 1}
    assert statuses([refresh(client, successor) for client in clients]) == {DEAD: 2}


def test_a_logout_ends_the_session_that_is_refreshed_meanwhile(clients: list[httpx2.Client], token: str) -> None:
    """Half log out, half refresh: whatever pair is given, none outlives the logout."""

    def send(number: int) -> httpx2.Response:
        if number % 2:
            return clients[number // 2 % 2].post("/auth/logout", json={"refresh_token": token})
        return refresh(clients[number // 2 % 2], token)

    answers = together(send, CLIENTS)
    assert statuses(answers[1::2]) == {(204, None): CLIENTS // 2}
    assert set(statuses(answers[::2])) <= {(200, None), DEAD}
    given = [answer.json()["refresh_token"] for answer in answers[::2] if answer.is_success]
    left = [refresh(clients[0], old) for old in [token, *given]]
    assert statuses(left) == {DEAD: len(left)}
