"""An application, its callers, and the expected policy of each of its operations.

The policies of hand-written operations are listed here a second time, so that a change of one fails a test.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple
from uuid import uuid4

from httpx2 import Response
from starlette.testclient import TestClient

from rowhouse.app.application import Application
from rowhouse.auth.models import ADMIN
from rowhouse.core.policy import ANYONE, SIGNED_IN, Policy
from rowhouse.registration.registry import Registry
from tests.contract.entity_client import Headers

API = "/api/v1"
FAR = 2**31 - 1
READING = ("GET", "HEAD")
Operation = tuple[str, str]
Policies = Mapping[Operation, Policy | None]
UNREAD: Policy | None = None  # reads no credentials: `policy=ANYONE`
ACCOUNTS: Policies = {
    ("POST", "/users"): UNREAD,
    ("POST", "/auth/login"): UNREAD,
    ("POST", "/auth/refresh"): UNREAD,
    ("POST", "/auth/logout"): UNREAD,
    ("GET", "/users/me"): SIGNED_IN,
    ("PATCH", "/users/me"): SIGNED_IN,
    ("POST", "/users/me/password"): SIGNED_IN,
}
SHOP: Policies = {
    **ACCOUNTS,
    ("POST", "/books/{id}/stock"): ADMIN,
}
ODD: Policies = {
    **ACCOUNTS,
    ("GET", "/notices/{id}"): ANYONE,
    ("POST", "/notices/{id}/shout"): SIGNED_IN,
    ("GET", "/diaries/latest"): SIGNED_IN,
}
# Steps that more callers may take than may write the entity.
ODD_STEPS: Policies = {("POST", "/sealed/{id}/open"): SIGNED_IN}


class Probe(NamedTuple):
    """A fault of a request, apart from its caller."""

    query: str = ""
    headers: Mapping[str, str] = {}
    content: bytes = b""
    key: str | None = None


class AppUnderTest(NamedTuple):
    """One application, its registry and its callers."""

    client: TestClient
    registry: Registry
    callers: Mapping[str, Headers]
    by_hand: Policies
    steps: Policies = MappingProxyType({})

    def operations(self) -> Iterator[tuple[str, str, Policy | None]]:
        """Yield each method and path with the declared policy."""
        assert isinstance(self.client.app, Application)
        for route in self.client.app.route_tree.routes:
            path = route.path.removeprefix(API)
            for method in sorted(route.methods or ()):
                declared = "GET" if method == "HEAD" else method
                own = {**self.by_hand, **self.steps}
                if (declared, path) in own:
                    yield method, path, own[declared, path]
                else:
                    resource = self.registry.registrations[path.split("/")[1]].resource
                    is_read = method in READING and not path.endswith("/deleted")
                    yield method, path, resource.read if is_read else resource.write

    def ask(self, method: str, path: str, probe: Probe, headers: Headers) -> Response:
        """Send a probe about a row that does not exist."""
        first = path.split("/")[1]
        line = self.registry.registrations.get(first)
        key = str(uuid4()) if line is not None and line.resource.key.columns[0].base is not int else str(FAR)
        url = f"{API}{path.replace('{id}', probe.key or key)}{probe.query}"
        content = probe.content if method not in READING else None
        return self.client.request(method, url, content=content, headers={**probe.headers, **headers})
