"""The hand-written routes of the sample shop: the owner of each row, a valid body, and the errors of other callers.

The suite compares these tables with the routes of the application, and fails for a route that is in none of them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.conftest import ADMIN_EMAIL, PASSWORD, unique
from tests.contract.entity_client import EntityClient, Headers, Row
from tests.isolation.private_rows import body_of
from tests.security.attacked_app import API, AttackedApp

Operation = tuple[str, str]
Body = Callable[[AttackedApp], Row]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A route about a row: how to create the row, a valid body, and the expected error of other callers."""

    row: Callable[[AttackedApp], int]
    body: Body | None = None
    stranger: int


def make(entity: EntityClient, who: Headers) -> int:
    """Create a row of an account, and return its id."""
    entity.prepare(who)
    answer = entity.call("POST", "", who, json=body_of(entity, who))
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def book(attacked: AttackedApp) -> int:
    """Create a book with a stock of nine."""
    return int(attacked.running_app.entity("books").make(stock=9)["id"])


def sign_up_body(_stage: AttackedApp) -> Row:
    """Return a valid sign-up."""
    return {"email": f"{unique('new')}@example.com", "password": PASSWORD, "full_name": "New"}


def refresh_body(attacked: AttackedApp) -> Row:
    """Return the refresh token of a new session."""
    form = {"username": ADMIN_EMAIL, "password": "admin-password"}
    return {"refresh_token": attacked.client.post(f"{API}/auth/login", data=form).json()["refresh_token"]}


# The caller's own affairs: nobody is 401, and whatever the caller does, nothing of anybody else changes.
OWN_ACCOUNT: Mapping[Operation, Body | None] = {
    ("get", "/users/me"): None,
    ("patch", "/users/me"): lambda _stage: {"full_name": "Another Name"},
    ("post", "/users/me/password"): lambda _stage: {"current_password": PASSWORD, "new_password": "another-horse"},
}
# For anybody, each with its reason: how one becomes a caller.
SIGNING_IN: Mapping[Operation, Body | None] = {
    ("post", "/users"): sign_up_body,
    ("post", "/auth/login"): None,  # a form; the password is checked
    ("post", "/auth/refresh"): refresh_body,  # the token is checked
    ("post", "/auth/logout"): refresh_body,  # as above
}


@dataclass(frozen=True, kw_only=True)
class HandWritten:
    """The hand-written routes of an application: about one row, about the caller's own account, and open to anyone."""

    probes: Mapping[Operation, Probe]
    own: Mapping[Operation, Body | None] = field(default_factory=lambda: OWN_ACCOUNT)
    open_to_anyone: Mapping[Operation, Body | None] = field(default_factory=lambda: SIGNING_IN)

    @property
    def known(self) -> frozenset[Operation]:
        """Every route."""
        return frozenset({*self.probes, *self.own, *self.open_to_anyone})

    def body(self, attacked: AttackedApp, operation: Operation) -> Row | None:
        """Return a valid body of an operation; None if it takes none."""
        bodies = {**self.own, **self.open_to_anyone}
        make_body = self.probes[operation].body if operation in self.probes else bodies[operation]
        return None if make_body is None else make_body(attacked)


# The row of another caller: 404 where it is hidden, 403 where it can be read. Nobody is 401, an administrator gets
# through.
PROBES: Mapping[Operation, Probe] = {
    ("post", "/books/{id}/stock"): Probe(row=book, body=lambda _stage: {"quantity": 1}, stranger=403),
}
SHOP_ROUTES = HandWritten(probes=PROBES)
