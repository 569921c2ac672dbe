"""Sixteen clients sign up with one address on two servers: one account is created."""

from collections import Counter

import httpx2

from tests.concurrency.clients import CLIENTS, Headers
from tests.concurrency.servers import together
from tests.conftest import ADMIN_EMAIL, PASSWORD, unique


def test_one_address_is_one_account(clients: list[httpx2.Client], admin_headers: Headers) -> None:
    """In whatever case it is written; every other answer says that it is taken."""
    name = unique("Contested")

    def sign_up(number: int) -> httpx2.Response:
        email = f"{name if number % 3 else name.upper()}@example.com"
        body = {"email": email, "password": PASSWORD, "full_name": f"Number {number}"}
        return clients[number % len(clients)].post("/users", json=body)

    answers = together(sign_up, CLIENTS)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: CLIENTS - 1}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"duplicate"}
    winner = next(answer.json() for answer in answers if answer.status_code == 201)
    found = clients[1].get("/users", params={"email__contains": name}, headers=admin_headers).json()
    assert found["items"] == [winner]


def test_two_servers_that_start_at_once_make_one_administrator(
    clients: list[httpx2.Client], admin_headers: Headers
) -> None:
    """Both did start, and both found or made the same account."""
    found = clients[0].get("/users", params={"email": ADMIN_EMAIL}, headers=admin_headers).json()
    assert [row["role"] for row in found["items"]] == ["admin"]
