"""Overrides of `scope`, `prepare` and `validate`, validators of the class, marks, and hand-written routes."""

from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from tests.conftest import unique

Headers = dict[str, str]
PARCELS, PERIODS, SEALED, NOTICES, DIARIES = (
    f"/api/v1/{path}" for path in ("parcels", "periods", "sealed", "notices", "diaries")
)
FIRST = {"label": "Spring", "first_day": "2030-03-01", "last_day": "2030-05-31"}


def made(answer: Response) -> dict[str, Any]:
    """Create a row and return it."""
    assert answer.status_code == 201, answer.text
    row: dict[str, Any] = answer.json()
    return row


def faults(answer: Response) -> list[tuple[list[str], str]]:
    """Return the places and messages of a 422."""
    assert answer.status_code == 422, answer.text
    return [(fault["loc"], fault["msg"]) for fault in answer.json()["errors"]]


@pytest.fixture
def parcel(odd_client: TestClient, odd_admin: Headers) -> dict[str, Any]:
    """A parcel that everybody sees."""
    body = {"name": unique("Red Box"), "weight": 10, "status": "public"}
    return made(odd_client.post(PARCELS, json=body, headers=odd_admin))


def test_prepare_sets_what_the_server_owns(odd_client: TestClient, odd_admin: Headers, parcel: dict[str, Any]) -> None:
    """At creation and at a change, and nothing else."""
    assert parcel["slug"] == parcel["name"].casefold().replace(" ", "-")
    path = f"{PARCELS}/{parcel['id']}"
    heavier = odd_client.patch(path, json={"weight": 11}, headers=odd_admin).json()
    assert heavier["slug"] == parcel["slug"]
    renamed = odd_client.patch(path, json={"name": "Blue Box"}, headers=odd_admin).json()
    assert (renamed["slug"], renamed["weight"]) == ("blue-box", 11)
    assert odd_client.get(path, headers=odd_admin).json() == renamed


def test_validate_sees_the_whole_row_and_the_stored_one(
    odd_client: TestClient, odd_admin: Headers, parcel: dict[str, Any]
) -> None:
    """A rejected row is not stored."""
    path = f"{PARCELS}/{parcel['id']}"
    lighter = odd_client.patch(path, json={"weight": 9, "name": "Green"}, headers=odd_admin)
    assert faults(lighter) == [(["body", "weight"], "a parcel does not grow lighter")]
    heavy = odd_client.patch(path, json={"weight": 1001}, headers=odd_admin)
    assert (heavy.status_code, heavy.json()["code"]) == (409, "too_heavy")
    assert odd_client.get(path, headers=odd_admin).json() == parcel
    name = unique()
    new = {"name": name, "weight": 1001, "status": "public"}
    assert odd_client.post(PARCELS, json=new, headers=odd_admin).status_code == 409
    assert odd_client.get(PARCELS, params={"name": name}, headers=odd_admin).json()["total"] == 0


def test_scope_hides_rows_from_every_verb(
    odd_client: TestClient, odd_admin: Headers, odd_user: Headers, parcel: dict[str, Any]
) -> None:
    """Get, list and its total, change and delete. Callers within the scope still see them."""
    path = f"{PARCELS}/{parcel['id']}"
    hidden = odd_client.patch(path, json={"status": "secret stock"}, headers=odd_admin).json()
    for method, body in (("GET", None), ("PATCH", {"weight": 12}), ("PUT", {"weight": 12}), ("DELETE", None)):
        assert odd_client.request(method, path, json=body, headers=odd_user).status_code == 404
    for who in (odd_user, {}):
        page = odd_client.get(PARCELS, params={"id": parcel["id"]}, headers=who).json()
        assert (page["items"], page["total"]) == ([], 0)
        beyond = odd_client.get(PARCELS, params={"id": parcel["id"], "page": 2}, headers=who).json()
        assert (beyond["items"], beyond["total"]) == ([], 0)
    assert odd_client.get(path, headers=odd_admin).json() == hidden


def test_a_change_may_put_a_row_out_of_the_callers_scope(
    odd_client: TestClient, odd_user: Headers, odd_admin: Headers, parcel: dict[str, Any]
) -> None:
    """The change succeeds. From then on the row is 404."""
    path = f"{PARCELS}/{parcel['id']}"
    assert odd_client.patch(path, json={"status": "gone"}, headers=odd_user).json()["status"] == "gone"
    assert odd_client.get(path, headers=odd_user).status_code == 404
    assert odd_client.get(path, headers=odd_admin).status_code == 200


def test_field_validators_of_the_class_hold(odd_client: TestClient, odd_admin: Headers) -> None:
    """Before and after pydantic's own, at creation and at a change."""
    period = made(odd_client.post(PERIODS, json={**FIRST, "label": "  Spring "}, headers=odd_admin))
    assert period["label"] == "Spring"
    path = f"{PERIODS}/{period['id']}"
    shouted = [(["body", "label"], "do not shout")]
    assert faults(odd_client.post(PERIODS, json={**FIRST, "label": "SPRING"}, headers=odd_admin)) == shouted
    assert faults(odd_client.patch(path, json={"label": "SPRING"}, headers=odd_admin)) == shouted
    assert odd_client.get(path, headers=odd_admin).json() == period
    assert odd_client.patch(path, json={"label": " May "}, headers=odd_admin).json()["label"] == "May"


def test_a_model_validator_sees_the_row_as_it_would_be(odd_client: TestClient, odd_admin: Headers) -> None:
    """A change of one column is validated with the other stored columns."""
    disorder = [(["body"], "last_day must not come before first_day")]
    late = {**FIRST, "first_day": "2030-06-01"}
    assert faults(odd_client.post(PERIODS, json=late, headers=odd_admin)) == disorder
    period = made(odd_client.post(PERIODS, json=FIRST, headers=odd_admin))
    path = f"{PERIODS}/{period['id']}"
    assert faults(odd_client.patch(path, json={"first_day": "2030-06-01"}, headers=odd_admin)) == disorder
    assert odd_client.get(path, headers=odd_admin).json() == period
    both = {"first_day": "2030-06-01", "last_day": "2030-08-31"}
    assert odd_client.put(path, json=both, headers=odd_admin).status_code == 200
    opened = odd_client.patch(path, json={"last_day": None}, headers=odd_admin).json()
    assert (opened["first_day"], opened["last_day"]) == ("2030-06-01", None)


def test_marks_say_who_sets_a_column(odd_client: TestClient, odd_admin: Headers) -> None:
    """Create-only columns stay, read-only ones have their default, and secrets are in no response."""
    row = made(odd_client.post(SEALED, json={"serial": unique("serial")}, headers=odd_admin))
    assert set(row) == {"id", "serial", "state", "remark", "created_at", "updated_at"}
    assert row["state"] == "new"
    path = f"{SEALED}/{row['id']}"
    for member in ("serial", "state", "pin", "api_key", "picture"):
        answer = odd_client.patch(path, json={member: "x", "remark": "x"}, headers=odd_admin)
        assert [loc for loc, _ in faults(answer)] == [["body", member]]
    assert odd_client.get(path).json() == row


def test_a_hand_written_route_wins_over_the_generated_one(odd_client: TestClient, odd_user: Headers) -> None:
    """Though it was included first. The other verbs stay generated."""
    row = made(odd_client.post(NOTICES, json={"message": "hello"}, headers=odd_user))
    answer = odd_client.get(f"{NOTICES}/{row['id']}")
    assert (answer.headers["x-by-hand"], answer.json()) == ("yes", row)
    changed = odd_client.patch(f"{NOTICES}/{row['id']}", json={"message": "bye"}, headers=odd_user)
    assert changed.status_code == 200
    assert "x-by-hand" not in changed.headers
    assert odd_client.get(f"{NOTICES}/{row['id']}").json()["message"] == "bye"


def test_a_literal_segment_wins_over_an_id(odd_client: TestClient, odd_user: Headers) -> None:
    """`/diaries/latest` is not the diary with the id "latest"."""
    made(odd_client.post(DIARIES, json={"entry": "first"}, headers=odd_user))
    made(odd_client.post(DIARIES, json={"entry": "second"}, headers=odd_user))
    assert odd_client.get(f"{DIARIES}/latest", headers=odd_user).json() == ["second"]
    assert odd_client.get(f"{DIARIES}/latest").status_code == 401
