"""Ownership over every hand-written route: a stranger and nobody are refused, and nothing changes (OWASP API1, API5).

What is generated is held to the same by `tests/isolation/test_ownership.py`.
"""

import pytest
import sqlalchemy as sa
from sqlmodel import SQLModel

from rowhouse.http.routing import OneHopRoute
from tests.conftest import sign_up
from tests.contract.problems import problem
from tests.security.conftest import API, Stage
from tests.security.hand_written import KNOWN, OWN, PROBES, Operation, body_by_hand

FAR = 2**31 - 1


def hand_written(stage: Stage) -> set[Operation]:
    """What the application serves that is not generated."""
    routes = [route for route in stage.app.routes if isinstance(route, OneHopRoute) and route.include_in_schema]
    return {(method.lower(), route.path.removeprefix(API)) for route in routes for method in route.methods or ()}


def belongings(stage: Stage, account: int) -> list[str]:
    """The account and every row that refers to it."""
    found = []
    with stage.app.state.database.engine.connect() as connection:
        for table in SQLModel.metadata.tables.values():
            for column in table.columns:
                refers = any(str(key.column) == "users.id" for key in column.foreign_keys)
                if refers or str(column) == "users.id":
                    found += sorted(map(repr, connection.execute(sa.select(table).where(column == account))))
    return found


def test_every_hand_written_route_is_probed(stage: Stage) -> None:
    """A new one must be told to `tests/security/hand_written.py`: whose it is, or why it is anybody's; and all of them are documented."""
    assert hand_written(stage) == KNOWN
    documented = {
        (method, path.removeprefix(API)) for path, item in stage.world.document["paths"].items() for method in item
    }
    assert documented >= KNOWN


@pytest.mark.parametrize("operation", PROBES, ids=" ".join)
def test_anothers_row_is_out_of_reach(stage: Stage, operation: Operation) -> None:
    """As if it were not there, or not to be changed; the caller is judged before the body; an administrator gets through."""
    (method, path), probe = operation, PROBES[operation]
    row, body = probe.row(stage), body_by_hand(stage, operation)
    url, missing = (f"{API}{path.format(id=key)}" for key in (row, FAR))
    with stage.unchanged():
        answer = stage.client.request(method, url, json=body, headers=stage.stranger)
        told = problem(answer, probe.stranger)
        problem(stage.client.request(method, url, json=body), 401, "not_authenticated")
        if probe.stranger == 404:
            gone = problem(stage.client.request(method, missing, json=body, headers=stage.stranger), 404)
            assert {**gone, "detail": gone["detail"].replace(str(FAR), str(row))} == told
    answer = stage.client.request(method, url, json=body, headers=stage.admin)
    assert answer.status_code in probe.granted, answer.text


@pytest.mark.parametrize("operation", OWN, ids=" ".join)
def test_nobody_has_no_affairs_of_their_own(stage: Stage, operation: Operation) -> None:
    """401, and nothing changes."""
    (method, path), body = operation, body_by_hand(stage, operation)
    with stage.unchanged():
        problem(stage.client.request(method, f"{API}{path}", json=body), 401, "not_authenticated")


def test_ones_own_affairs_are_nobody_elses(stage: Stage) -> None:
    """Whatever an account does by hand, everything of another stays, to the last bit; also what it names in a query or a body."""
    house = stage.world.house("cart-items")
    house.prepare(stage.owner)
    victim = int(stage.client.get(f"{API}/users/me", headers=stage.owner).json()["id"])
    before, attacker = belongings(stage, victim), sign_up(stage.client, "driver")
    assert len(before) > 2
    for operation in OWN:
        (method, path), body = operation, body_by_hand(stage, operation)
        for named in ({}, {"id": victim}, {"user_id": victim}):
            wrong = (
                stage.client.request(method, f"{API}{path}", json=body, params=named, headers=attacker)
                if named
                else None
            )
            assert wrong is None or wrong.status_code == 422
        answer = stage.client.request(method, f"{API}{path}", json=body, headers=attacker)
        assert answer.status_code in (200, 201, 204), (operation, answer.text)
        assert belongings(stage, victim) == before
