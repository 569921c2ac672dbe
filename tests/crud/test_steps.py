"""Steps of a registration line: callers, versions, idempotency keys, history, deleted rows and the document.

`Sealed` has a text state, a history, and a step that more callers may take than may write it. `Booking` has an owner,
and a step that fewer callers may take.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx2 import Response
from starlette.testclient import TestClient

from rowhouse import (
    ADMIN,
    ANYONE,
    SIGNED_IN,
    Caller,
    NotAuthenticatedError,
    Policy,
    TransitionError,
    get_crud,
    role,
    unit,
)
from rowhouse.cli.reports.routes import table
from rowhouse.core.clock import now
from rowhouse.core.openapi import resolved
from rowhouse.core.policy import admitting
from tests.conftest import sign_up, unique
from tests.contract.problems import problem
from tests.sample_entities.odd.registry import OPEN
from tests.sample_entities.odd.shapes import Sealed
from tests.statement_counter import all_statements_sent

Headers = dict[str, str]
Row = dict[str, Any]
SEALED, BOOKINGS = "/api/v1/sealed", "/api/v1/bookings"
DRIVER = role("driver", "admin")


@pytest.fixture
def sealed(odd_client: TestClient, odd_admin: Headers) -> Row:
    """A new row."""
    answer = odd_client.post(SEALED, json={"serial": unique("step")}, headers=odd_admin)
    assert answer.status_code == 201, answer.text
    row: Row = answer.json()
    return row


@pytest.fixture
def booking(client: TestClient, admin: Headers, driver: Headers) -> Row:
    """A new booking of the driver, on a charge point of its own."""
    point = {
        "code": unique("step"), "name": "Step", "latitude": 0, "longitude": 0,
        "connector": "ccs", "power_kw": 50, "price_per_kwh": 0.5,
    }  # fmt: skip
    made = client.post("/api/v1/charge-points", json=point, headers=admin).json()
    start = now() + timedelta(days=1)
    times = {"start_time": start.isoformat(), "end_time": (start + timedelta(hours=1)).isoformat()}
    answer = client.post(BOOKINGS, json={"charge_point_id": made["id"], **times}, headers=driver)
    assert answer.status_code == 201, answer.text
    row: Row = answer.json()
    return row


def step(client: TestClient, path: str, headers: Headers, **extra: str) -> Response:
    """Return the response to a step."""
    return client.post(path, headers={**headers, **extra})


def test_a_step_changes_the_state_alone(odd_client: TestClient, odd_user: Headers, sealed: Row) -> None:
    """The response has the stored row and its entity tag, in the role with the fewest rights."""
    path = f"{SEALED}/{sealed['id']}"
    answer = step(odd_client, f"{path}/open/", odd_user)
    assert answer.status_code == 200, answer.text
    row = answer.json()
    assert row == {**sealed, "state": "open", "updated_at": row["updated_at"]}
    assert row["updated_at"] > sealed["updated_at"]
    stored = odd_client.get(path)
    assert (stored.json(), stored.headers["etag"]) == (row, answer.headers["etag"])


def test_a_step_from_another_state_is_409(odd_client: TestClient, odd_user: Headers, sealed: Row) -> None:
    """The message names the states from which it starts. Nothing changes."""
    path = f"{SEALED}/{sealed['id']}"
    opened = step(odd_client, f"{path}/open", odd_user).json()
    told = problem(step(odd_client, f"{path}/open", odd_user), 409, "transition_refused")
    assert told["detail"] == "To open it, the sealed must be new or shut; it is open."
    assert odd_client.get(path).json() == opened


def test_a_check_refuses_with_its_own_error(odd_client: TestClient, odd_admin: Headers, sealed: Row) -> None:
    """If the check raises nothing, the step is taken."""
    path = f"{SEALED}/{sealed['id']}"
    opened = step(odd_client, f"{path}/open", odd_admin).json()
    assert problem(step(odd_client, f"{path}/shut-away", odd_admin), 400)["detail"].startswith("Say in remark")
    assert odd_client.get(path).json() == opened
    assert odd_client.patch(path, json={"remark": "old"}, headers=odd_admin).status_code == 200
    assert step(odd_client, f"{path}/shut-away", odd_admin).json()["state"] == "shut"


def test_who_may_take_a_step(odd_client: TestClient, odd_user: Headers, odd_admin: Headers, sealed: Row) -> None:
    """Without a policy of its own, those who may write. The caller is checked before the key and the row."""
    path = f"{SEALED}/{sealed['id']}"
    for tail in (f"{sealed['id']}/open", f"{2**31 - 1}/open", "x/open"):
        problem(odd_client.post(f"{SEALED}/{tail}"), 401, "not_authenticated")
    for tail in (f"{sealed['id']}/shut-away", f"{2**31 - 1}/shut-away", "x/shut-away"):
        problem(step(odd_client, f"{SEALED}/{tail}", odd_user), 403, "permission_denied")
    problem(step(odd_client, f"{SEALED}/x/open", odd_user), 422, "invalid_input")
    problem(step(odd_client, f"{path}/open?force=1", odd_user), 422, "invalid_input")
    problem(step(odd_client, f"{SEALED}/{2**31 - 1}/open", odd_admin), 404, "not_found")
    assert odd_client.get(path).json() == sealed
    assert odd_client.get(f"{path}/open").status_code == 405


def test_ownership_is_that_of_an_update(
    client: TestClient, admin: Headers, driver: Headers, user: Headers, booking: Row
) -> None:
    """Another driver's booking is 404. The policy of the step comes next, before the version."""
    path, stranger = f"{BOOKINGS}/{booking['id']}", sign_up(client, "driver")
    stale = {"If-Match": '"0"'}
    for tail in ("confirm", "cancel"):
        missing = problem(step(client, f"{BOOKINGS}/{2**31 - 1}/{tail}", stranger, **stale), 404, "not_found")
        told = problem(step(client, f"{path}/{tail}", stranger, **stale), 404, "not_found")
        assert told["detail"] == missing["detail"].replace(str(2**31 - 1), str(booking["id"]))
        problem(step(client, f"{path}/{tail}", user), 403, "permission_denied")
    long = {"Content-Length": "9" * 12}
    problem(step(client, f"{path}/confirm", user, **long), 403, "permission_denied")
    problem(step(client, f"{path}/confirm", driver, **long), 413, "content_too_large")
    told = problem(step(client, f"{path}/confirm", driver, **stale), 403, "permission_denied")
    assert told["detail"] == "Requires the role admin."
    assert client.get(path, headers=driver).json() == booking
    assert step(client, f"{path}/confirm", admin).json()["status"] == "CONFIRMED"
    assert step(client, f"{path}/cancel", driver).json()["status"] == "CANCELLED"


def test_a_step_takes_three_statements(client: TestClient, admin: Headers, booking: Row) -> None:
    """The caller, the locked row and the change."""
    with all_statements_sent() as sent:
        assert step(client, f"{BOOKINGS}/{booking['id']}/confirm", admin).status_code == 200
    assert [text.split()[0] for text in sent] == ["SELECT", "SELECT", "UPDATE"], sent


def test_a_stale_version_is_412(client: TestClient, admin: Headers, driver: Headers, booking: Row) -> None:
    """Nothing changes. The present version, a list with it and `*` are accepted."""
    path = f"{BOOKINGS}/{booking['id']}"
    tag = client.get(path, headers=driver).headers["etag"]
    problem(step(client, f"{path}/confirm", admin, **{"If-Match": '"0"'}), 412, "stale")
    assert client.get(path, headers=driver).json() == booking
    confirmed = step(client, f"{path}/confirm", admin, **{"If-Match": f'"0", {tag}'})
    assert confirmed.status_code == 200
    problem(step(client, f"{path}/cancel", admin, **{"If-Match": tag}), 412, "stale")
    assert step(client, f"{path}/cancel", admin, **{"If-Match": "*"}).status_code == 200


def test_a_repeated_key_gets_the_stored_answer(odd_client: TestClient, odd_admin: Headers, sealed: Row) -> None:
    """Also with the version that it changed. The step is taken once, and the key belongs to this step."""
    path, key = f"{SEALED}/{sealed['id']}", {"Idempotency-Key": unique("key")}
    tag = odd_client.get(path).headers["etag"]
    first, second = (step(odd_client, f"{path}/open", odd_admin, **key, **{"If-Match": tag}) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200), second.text
    assert (first.content, first.headers["etag"]) == (second.content, second.headers["etag"])
    assert ("idempotent-replayed" in first.headers, second.headers["idempotent-replayed"]) == (False, "true")
    assert len(odd_client.get(f"{path}/history").json()["items"]) == 2
    problem(step(odd_client, f"{path}/shut-away", odd_admin, **key), 422)


def test_a_refused_step_leaves_its_key_free(odd_client: TestClient, odd_admin: Headers, sealed: Row) -> None:
    """Only successful responses are stored."""
    path, key = f"{SEALED}/{sealed['id']}", {"Idempotency-Key": unique("key")}
    problem(step(odd_client, f"{path}/shut-away", odd_admin, **key), 409, "transition_refused")
    assert step(odd_client, f"{path}/open", odd_admin, **key).status_code == 200


def test_a_step_is_in_the_history(odd_client: TestClient, odd_admin: Headers, sealed: Row) -> None:
    """As an update by its caller."""
    path = f"{SEALED}/{sealed['id']}"
    opened = step(odd_client, f"{path}/open", odd_admin).json()
    created, update = odd_client.get(f"{path}/history", headers=odd_admin).json()["items"]
    assert (created["action"], update["action"]) == ("create", "update")
    assert (update["before"], update["after"]) == (sealed, opened)
    assert update["by"] is not None


def test_a_deleted_row_takes_no_step(odd_client: TestClient, odd_admin: Headers, sealed: Row) -> None:
    """404. After a restore it continues from its state."""
    path = f"{SEALED}/{sealed['id']}"
    assert odd_client.delete(path, headers=odd_admin).status_code == 204
    problem(step(odd_client, f"{path}/open", odd_admin), 404, "not_found")
    assert odd_client.post(f"{path}/restore", headers=odd_admin).json()["state"] == "new"
    assert step(odd_client, f"{path}/open", odd_admin).status_code == 200


@pytest.mark.parametrize("keyed", [False, True])
def test_of_two_at_once_one_takes_the_step(
    odd_client: TestClient, odd_admin: Headers, sealed: Row, *, keyed: bool
) -> None:
    """The other waits and gets 409 with the state; with the same key it gets the first one's response."""
    path, extra = f"{SEALED}/{sealed['id']}", {"Idempotency-Key": unique("key")} if keyed else {}
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(lambda _: step(odd_client, f"{path}/open", odd_admin, **extra), range(4)))
    assert sorted(answer.status_code for answer in answers) == ([200] * 4 if keyed else [200, 409, 409, 409])
    assert len(odd_client.get(f"{path}/history").json()["items"]) == 2


def test_a_step_waits_for_another_one(odd_client: TestClient, odd_admin: Headers, sealed: Row) -> None:
    """It sees the state that the other one stored."""
    app, path = odd_client.app, f"{SEALED}/{sealed['id']}/open"
    assert isinstance(app, FastAPI)
    with ThreadPoolExecutor(1) as threads:
        with unit(app, caller=Caller(id=1, role="user")) as work:
            get_crud(app, Sealed).take_step(work, sealed["id"], OPEN)
            waiting = threads.submit(step, odd_client, path, odd_admin)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.2)
        problem(waiting.result(), 409, "transition_refused")


def test_the_document_states_a_step(odd_client: TestClient) -> None:
    """Its name, text, responses, headers and states."""
    paths = resolved(odd_client.get("/openapi.json").json())["paths"]
    opened, shut = (paths[f"{SEALED}/{{id}}/{name}"]["post"] for name in ("open", "shut-away"))
    assert (opened["operationId"], opened["summary"], opened["tags"]) == ("open_sealed", "Open sealed", ["sealed"])
    assert opened["description"] == "The sealed must be new or shut, and becomes open."
    assert opened["x-transition"] == {
        "field": "state", "from": ["new", "shut"], "to": "open", "initial": "new",
    }  # fmt: skip
    assert [one["name"] for one in opened["parameters"]] == ["id", "If-Match", "Idempotency-Key"]
    assert " ".join(sorted(opened["responses"])) == "200 400 401 403 404 409 412 413 422 429 503"
    assert opened["responses"]["200"]["headers"].keys() == {"ETag", "Idempotent-Replayed", "X-Request-ID"}
    content = opened["responses"]["200"]["content"]["application/json"]
    assert content == {"schema": {"$ref": "#/components/schemas/SealedPublic"}}
    assert (opened["security"], opened["x-slo-ms"]) == ([{"OAuth2PasswordBearer": []}], 200)
    assert (shut["operationId"], shut["summary"], shut["description"]) == (
        "shut_away_sealed",
        "Lock it up",
        "With a key.",
    )
    assert "requestBody" not in shut


def test_the_table_of_routes_shows_the_policy_of_a_step(odd_client: TestClient, client: TestClient) -> None:
    """It shows the policy of the step."""
    assert isinstance(odd_client.app, FastAPI)
    assert isinstance(client.app, FastAPI)
    lines = [line.split() for line in (*table(odd_client.app).splitlines(), *table(client.app).splitlines())]
    who = {words[2]: " ".join(words[3:-2]) for words in lines}
    assert (who["open_sealed"], who["shut_away_sealed"], who["confirm_booking"]) == ("signed in", "admin", "admin")


def test_a_job_takes_a_step(odd_client: TestClient, odd_admin: Headers, sealed: Row) -> None:
    """With the verb. A policy of the step needs a caller there too."""
    app = odd_client.app
    assert isinstance(app, FastAPI)
    crud = get_crud(app, Sealed)
    with unit(app, caller=Caller(id=1, role="user")) as work:
        assert crud.take_step(work, sealed["id"], OPEN)["state"] == "open"
    with pytest.raises(TransitionError, match="it is open"), unit(app, caller=Caller(id=1, role="user")) as work:
        crud.take_step(work, sealed["id"], OPEN)
    with pytest.raises(NotAuthenticatedError), unit(app) as work:
        crud.take_step(work, sealed["id"], OPEN)


@pytest.mark.parametrize(
    ("own", "write", "admits"),
    [
        (ANYONE, ADMIN, ANYONE),
        (SIGNED_IN, ADMIN, SIGNED_IN),
        (ADMIN, ANYONE, SIGNED_IN),
        (ADMIN, SIGNED_IN, SIGNED_IN),
        (ADMIN, DRIVER, DRIVER),
        (role("clerk"), ADMIN, role("admin", "clerk")),
    ],
)
def test_the_policy_of_a_step_admits_callers_to_the_row(own: Policy, write: Policy, admits: Policy) -> None:
    """Callers who may take the step or may write. Without an account only if anyone may take it."""
    assert admitting(own, write) == admits


def test_fields_of_the_projects_own_are_loaded_after_a_step(
    odd_client: TestClient, odd_admin: Headers, sealed: Row, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an update, unless `take_step` has returned them."""

    def load(_crud: object, rows: list[Row], *, unit: object) -> None:
        for row in rows:
            row["remark"] = f"loaded in {type(unit).__name__}"

    assert isinstance(odd_client.app, FastAPI)
    cruds = [crud for part in odd_client.app.state.cruds.values() for crud in part.values()]
    (crud,) = [crud for crud in cruds if crud.resource.model is Sealed]
    monkeypatch.setattr(type(crud), "extra_fields", {"note": str})
    monkeypatch.setattr(type(crud), "load_extra_fields", load)
    answer = step(odd_client, f"{SEALED}/{sealed['id']}/open", odd_admin)
    assert answer.json()["remark"] == "loaded in UnitOfWork"
