"""What is written by hand, route by route: whose row it is about, what a valid body is, and who is refused how.

The suite compares these tables with the routes of the application: one that stands in none of them makes it fail.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.conftest import ADMIN_EMAIL, PASSWORD, unique
from tests.contract.entity_client import Headers, House, Row
from tests.isolation.private_rows import body_of
from tests.security.conftest import API, Stage

Operation = tuple[str, str]
Body = Callable[[Stage], Row]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A route about a row: how to make one that is the owner's, or nobody's; a good body; and what a stranger is told."""

    row: Callable[[Stage], int]
    body: Body | None = None
    stranger: int
    granted: frozenset[int] = frozenset({200})


def make(house: House, who: Headers) -> int:
    """The id of a new row of somebody's."""
    house.prepare(who)
    answer = house.call("POST", "", who, json=body_of(house, who))
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


def booking(stage: Stage) -> int:
    """A PENDING one of the owner's."""
    return make(stage.world.house("bookings"), stage.owner)


def order(stage: Stage) -> int:
    """A placed one of the owner's."""
    return make(stage.world.house("orders"), stage.owner)


def book(stage: Stage) -> int:
    """One that there are nine copies of."""
    return int(stage.world.house("books").make(stock=9)["id"])


STEP_LATER = frozenset({200, 409})  # the administrator may, though not from the state in which the row begins
# Another's row: 404 where it is hidden, 403 where it can be read; nobody is 401; an administrator is let through.
PROBES: Mapping[Operation, Probe] = {
    **{
        ("post", f"/bookings/{{id}}/{step}"): Probe(row=booking, stranger=404, granted=STEP_LATER)
        for step in ("confirm", "cancel", "start", "complete")
    },
    **{
        ("post", f"/orders/{{id}}/{step}"): Probe(row=order, stranger=404, granted=STEP_LATER)
        for step in ("cancel", "ship", "deliver")
    },
    ("post", "/books/{id}/stock"): Probe(row=book, body=lambda _stage: {"quantity": 1}, stranger=403),
}
# The caller's own affairs: nobody is 401, and whatever the caller does, nothing of anybody else changes.
OWN: Mapping[Operation, Body | None] = {
    ("get", "/users/me"): None,
    ("patch", "/users/me"): lambda _stage: {"full_name": "Another Name"},
    ("post", "/cart-items"): lambda stage: {"book_id": book(stage), "quantity": 1},
    ("post", "/orders"): None,
    ("post", "/users/me/password"): lambda _stage: {"current_password": PASSWORD, "new_password": "another-horse"},
}


def sign_up_body(_stage: Stage) -> Row:
    """A new account."""
    return {"email": f"{unique('new')}@example.com", "password": PASSWORD, "full_name": "New"}


def refresh_body(stage: Stage) -> Row:
    """The refresh token of a new session."""
    form = {"username": ADMIN_EMAIL, "password": "admin-password"}
    return {"refresh_token": stage.client.post(f"{API}/auth/login", data=form).json()["refresh_token"]}


# For anybody, each with its reason: how one becomes a caller, and what is public.
OPEN: Mapping[Operation, Body | None] = {
    ("post", "/users"): sign_up_body,
    ("post", "/auth/login"): None,  # a form; the password is what is judged
    ("post", "/auth/refresh"): refresh_body,  # the token is what is judged
    ("post", "/auth/logout"): refresh_body,  # as above
    ("get", "/charge-points/{id}/availability"): None,  # anyone reads charge points; it names no driver
}
KNOWN = frozenset({*PROBES, *OWN, *OPEN})


def body_by_hand(stage: Stage, operation: Operation) -> Row | None:
    """A good body of a hand-written operation; None where it takes none."""
    make_body = PROBES[operation].body if operation in PROBES else {**OWN, **OPEN}[operation]
    return None if make_body is None else make_body(stage)
