"""Calls every operation as every caller, and compares the responses with the declared policies.

401 and 403 take precedence.
"""

from collections.abc import Mapping

import pytest
from fastapi.routing import APIRoute

from rowhouse.core.policy import Policy
from tests.contract.problems import problem
from tests.hand_written.policies import AppUnderTest, Probe

# A rule of the entity refuses these to some whom the policy lets pass.
RULED = frozenset({("DELETE", "/bookings/{id}"), ("DELETE", "/bookings/batch")})


PROBES: Mapping[str, Probe] = {
    "no body": Probe(),
    "a wrong type": Probe(headers={"Content-Type": "image/png"}, content=b"x"),
    "a packed body": Probe(headers={"Content-Encoding": "gzip"}, content=b"x"),
    "a broken body": Probe(headers={"Content-Type": "application/json"}, content=b"{"),
    "a long body": Probe(headers={"Content-Type": "application/json", "Content-Length": "9" * 12}, content=b"{}"),
    "a strange word": Probe(query="?nope=1"),
    "a strange key": Probe(key="x%20y"),
}


def refusal(policy: Policy | None, name: str) -> int | None:
    """Return the expected error of a caller; None if the policy allows the caller."""
    if policy is None:
        return None
    if name in ("forged", "disabled"):
        return 401 if name == "forged" else 403
    if policy.anyone:
        return None
    if name == "nobody":
        return 401
    return None if policy.roles is None or name in policy.roles else 403


@pytest.mark.parametrize("probe", PROBES)
def test_every_operation_refuses_every_caller_first(tested: AppUnderTest, probe: str) -> None:
    """Whatever else is wrong: without an account, with a forged token, with each role, and with a disabled account.

    Every caller sends no body; with each other probe one caller of each operation does, in turn.
    """
    asked = 0
    for number, (method, path, policy) in enumerate(tested.operations()):
        refused = [name for name in tested.callers if refusal(policy, name) is not None]
        first = number % len(refused) if refused else 0
        for name in refused if probe == "no body" else refused[first : first + 1]:
            answer = tested.ask(method, path, PROBES[probe], tested.callers[name])
            assert answer.status_code == refusal(policy, name), (method, path, name, answer.text)
            if method != "HEAD":
                problem(answer, answer.status_code)
            asked += 1
    assert asked > 100


def test_every_operation_lets_the_others_pass(tested: AppUnderTest) -> None:
    """To the next fault of the request, such as a missing row or body, never to a 500."""
    for method, path, policy in tested.operations():
        for name, headers in tested.callers.items():
            if refusal(policy, name) is None:
                status = tested.ask(method, path, PROBES["no body"], headers).status_code
                assert status < 500, (method, path, name)
                assert status not in (401, 403) or (method, path) in RULED, (method, path, name)


def test_what_is_written_down_is_served(tested: AppUnderTest) -> None:
    """An operation that is not listed fails the tests above."""
    served = {
        (method, route.path)
        for router in tested.registry.routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert served == tested.by_hand.keys()
