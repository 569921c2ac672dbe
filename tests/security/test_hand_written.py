"""Ownership of rows behind hand-written routes: other callers are rejected, and nothing changes (OWASP API1, API5).

`tests/isolation/test_ownership.py` tests the generated routes.
"""

import sqlalchemy as sa

from rowhouse.http.routing import OneHopRoute
from tests.conftest import sign_up
from tests.contract.problems import problem
from tests.security.attacked_app import API, AttackedApp
from tests.security.hand_written import HandWritten, Operation, make

FAR = 2**31 - 1


def hand_written(attacked: AttackedApp) -> set[Operation]:
    """Return the routes of the application that are not generated."""
    routes = [route for route in attacked.app.routes if isinstance(route, OneHopRoute) and route.include_in_schema]
    return {(method.lower(), route.path.removeprefix(API)) for route in routes for method in route.methods or ()}


def belongings(attacked: AttackedApp, account: int) -> list[str]:
    """Return the account and every row that refers to it."""
    found = []
    with attacked.app.state.database.engine.connect() as connection:
        for table in attacked.metadata.tables.values():
            for column in table.columns:
                refers = any(str(key.column) == "users.id" for key in column.foreign_keys)
                if refers or str(column) == "users.id":
                    found += sorted(map(repr, connection.execute(sa.select(table).where(column == account))))
    return found


def test_every_hand_written_route_is_probed(attacked: AttackedApp, routes: HandWritten) -> None:
    """A new route must be added to `hand_written.py`, with its owner or the reason why it is open. Each is documented."""
    assert hand_written(attacked) == routes.known == attacked.running_app.api.hand_written
    documented = {
        (method, path.removeprefix(API))
        for path, item in attacked.running_app.document["paths"].items()
        for method in item
    }
    assert documented >= routes.known


def test_anothers_row_is_out_of_reach(attacked: AttackedApp, routes: HandWritten) -> None:
    """It is 404 or 403. The caller is checked before the body. An administrator may call the route."""
    for (method, path), probe in routes.probes.items():
        row, body = probe.row(attacked), routes.body(attacked, (method, path))
        url, missing = (f"{API}{path.format(id=key)}" for key in (row, FAR))
        with attacked.unchanged():
            answer = attacked.client.request(method, url, json=body, headers=attacked.stranger)
            told = problem(answer, probe.stranger)
            problem(attacked.client.request(method, url, json=body), 401, "not_authenticated")
            if probe.stranger == 404:
                gone = problem(attacked.client.request(method, missing, json=body, headers=attacked.stranger), 404)
                assert {**gone, "detail": gone["detail"].replace(str(FAR), str(row))} == told
        answer = attacked.client.request(method, url, json=body, headers=attacked.admin)
        assert answer.status_code == 200, (method, path, answer.text)


def test_an_anonymous_caller_has_no_rows_of_their_own(attacked: AttackedApp, routes: HandWritten) -> None:
    """401, and nothing changes."""
    for method, path in routes.own:
        body = routes.body(attacked, (method, path))
        with attacked.unchanged():
            problem(attacked.client.request(method, f"{API}{path}", json=body), 401, "not_authenticated")


def test_a_callers_own_rows_are_hidden_from_others(attacked: AttackedApp, routes: HandWritten) -> None:
    """No route about the caller's own account changes another one, whatever the query or the body names."""
    make(attacked.running_app.entity("vehicles"), attacked.owner)
    victim = int(attacked.client.get(f"{API}/users/me", headers=attacked.owner).json()["id"])
    before, attacker = belongings(attacked, victim), sign_up(attacked.client, "driver")
    assert len(before) > 2
    for method, path in routes.own:
        body, url = routes.body(attacked, (method, path)), f"{API}{path}"
        for named in ({"id": victim}, {"user_id": victim}):
            wrong = attacked.client.request(method, url, json=body, params=named, headers=attacker)
            assert wrong.status_code == 422
        answer = attacked.client.request(method, url, json=body, headers=attacker)
        assert answer.status_code in (200, 201, 204), (method, path, answer.text)
        assert belongings(attacked, victim) == before
