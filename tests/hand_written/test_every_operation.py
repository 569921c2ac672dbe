"""Every operation as every caller, against the policies that the tables of contents declare: 401 and 403 come before all else.

What a hand-written operation asks for is written down here once more, so that a change of it is seen.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from uuid import uuid4

import pytest
from fastapi.routing import APIRoute
from httpx2 import Response
from starlette.testclient import TestClient

from app.accounts import DRIVER
from rowhouse.app.application import Application
from rowhouse.auth.models import ADMIN
from rowhouse.core.policy import ANYONE, SIGNED_IN, Policy
from rowhouse.registration.registry import Registry
from tests.contract.problems import problem
from tests.contract.registrations import REGISTRIES
from tests.databases import Databases
from tests.hand_written.conftest import Headers, callers_of
from tests.sample_entities.odd.application import open_odd

API = "/api/v1"
FAR = 2**31 - 1
READING = ("GET", "HEAD")
Operation = tuple[str, str]
UNREAD: Policy | None = None  # reads no credentials: `policy=ANYONE`
BY_HAND: Mapping[Operation, Policy | None] = {
    ("POST", "/users"): UNREAD,
    ("POST", "/auth/login"): UNREAD,
    ("POST", "/auth/refresh"): UNREAD,
    ("POST", "/auth/logout"): UNREAD,
    ("GET", "/users/me"): SIGNED_IN,
    ("PATCH", "/users/me"): SIGNED_IN,
    ("POST", "/users/me/password"): SIGNED_IN,
    ("POST", "/bookings/{id}/confirm"): DRIVER,
    ("POST", "/bookings/{id}/cancel"): DRIVER,
    ("POST", "/bookings/{id}/start"): DRIVER,
    ("POST", "/bookings/{id}/complete"): DRIVER,
    ("GET", "/charge-points/{id}/availability"): ANYONE,
    ("POST", "/books/{id}/stock"): ADMIN,
    ("POST", "/cart-items"): SIGNED_IN,
    ("POST", "/orders"): SIGNED_IN,
    ("POST", "/orders/{id}/cancel"): SIGNED_IN,
    ("POST", "/orders/{id}/ship"): SIGNED_IN,
    ("POST", "/orders/{id}/deliver"): SIGNED_IN,
    ("GET", "/notices/{id}"): ANYONE,
    ("POST", "/notices/{id}/shout"): SIGNED_IN,
    ("GET", "/diaries/latest"): SIGNED_IN,
}


# A rule of the entity refuses these to some whom the policy lets pass.
RULED = frozenset({("DELETE", "/bookings/{id}"), ("DELETE", "/bookings/batch")})


class Probe(NamedTuple):
    """What is wrong with a request beside its caller."""

    query: str = ""
    headers: Mapping[str, str] = {}
    content: bytes = b""
    key: str | None = None


PROBES: Mapping[str, Probe] = {
    "no body": Probe(),
    "a wrong type": Probe(headers={"Content-Type": "image/png"}, content=b"x"),
    "a packed body": Probe(headers={"Content-Encoding": "gzip"}, content=b"x"),
    "a broken body": Probe(headers={"Content-Type": "application/json"}, content=b"{"),
    "a long body": Probe(headers={"Content-Type": "application/json", "Content-Length": "9" * 12}, content=b"{}"),
    "a strange word": Probe(query="?nope=1"),
    "a strange key": Probe(key="x%20y"),
}


class Stage(NamedTuple):
    """One application, its table of contents and its callers."""

    client: TestClient
    registry: Registry
    callers: Mapping[str, Headers]

    def operations(self) -> Iterator[tuple[str, str, Policy | None]]:
        """Each method and path, with the policy that was declared."""
        assert isinstance(self.client.app, Application)
        for route in self.client.app.route_tree.routes:
            path = route.path.removeprefix(API)
            for method in sorted(route.methods or ()):
                declared = "GET" if method == "HEAD" else method
                if (declared, path) in BY_HAND:
                    yield method, path, BY_HAND[declared, path]
                else:
                    resource = self.registry.registrations[path.split("/")[1]].resource
                    yield method, path, resource.read if method in READING else resource.write

    def ask(self, method: str, path: str, probe: Probe, headers: Headers) -> Response:
        """Send a probe about a row that is not there."""
        first = path.split("/")[1]
        line = self.registry.registrations.get(first)
        key = str(uuid4()) if line is not None and line.resource.key.base is not int else str(FAR)
        url = f"{API}{path.replace('{id}', probe.key or key)}{probe.query}"
        content = probe.content if method not in READING else None
        return self.client.request(method, url, content=content, headers={**probe.headers, **headers})


@pytest.fixture(scope="module", params=REGISTRIES)
def stage(request: pytest.FixtureRequest, client: TestClient, databases: Databases, backend: str) -> Iterator[Stage]:
    """The product and the odd application."""
    registry = REGISTRIES[request.param]
    if request.param == "product":
        yield Stage(client, registry, callers_of(client))
        return
    with open_odd(databases, backend) as odd:
        yield Stage(odd, registry, callers_of(odd))


def refusal(policy: Policy | None, name: str) -> int | None:
    """What a caller is refused with; None where the policy lets the caller pass."""
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
def test_every_operation_refuses_every_caller_first(stage: Stage, probe: str) -> None:
    """Whatever else is wrong with the request: nobody, a forged token, each role, and a disabled account.

    Without a body every caller is refused; with each other probe one caller of each operation is, another one each time.
    """
    asked = 0
    for number, (method, path, policy) in enumerate(stage.operations()):
        refused = [name for name in stage.callers if refusal(policy, name) is not None]
        first = number % len(refused) if refused else 0
        for name in refused if probe == "no body" else refused[first : first + 1]:
            answer = stage.ask(method, path, PROBES[probe], stage.callers[name])
            assert answer.status_code == refusal(policy, name), (method, path, name, answer.text)
            if method != "HEAD":
                problem(answer, answer.status_code)
            asked += 1
    assert asked > 100


def test_every_operation_lets_the_others_pass(stage: Stage) -> None:
    """To whatever is wrong with the request then: a missing row, a missing body; never to a fault of the server."""
    for method, path, policy in stage.operations():
        for name, headers in stage.callers.items():
            if refusal(policy, name) is None:
                status = stage.ask(method, path, PROBES["no body"], headers).status_code
                assert status < 500, (method, path, name)
                assert status not in (401, 403) or (method, path) in RULED, (method, path, name)


def test_what_is_written_down_is_served() -> None:
    """By one application or the other; a new operation that is not written down fails the test above."""
    served = {
        (method, route.path)
        for registry in REGISTRIES.values()
        for router in registry.routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    assert served == BY_HAND.keys()
