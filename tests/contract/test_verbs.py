"""The five verbs: status codes, `Location`, the trailing slash, and what a change does not touch (docs/contract.md §1, §2)."""

import re
from datetime import datetime

import pytest

from tests.contract.entity_client import House, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_house

INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")
ABSENT = {"integer": "2147483647", "uuid": "00000000-0000-4000-8000-000000000000"}


def absent_key(house: House) -> str:
    """An id that no row has."""
    return ABSENT[house.world.bodies.kind(house.public["id"])]


def same(house: House, sent: Row, shown: Row) -> None:
    """Check that what was sent is shown, instants in UTC."""
    for name, value in sent.items():
        if name not in house.public:
            continue
        kind = house.world.bodies.kind(house.public[name])
        if kind == "date-time" and value is not None:
            assert datetime.fromisoformat(shown[name]) == datetime.fromisoformat(value)
        elif kind == "duration":
            assert (shown[name] is None) == (value is None)
        elif kind == "number" and value is not None:
            assert shown[name] == float(value), name
        else:
            assert shown[name] == value, name


@every_house()
def test_create_answers_201_with_the_row_and_its_location(house: House) -> None:
    """The row is stored by the time of the answer, and `Location` leads to it."""
    body = house.body()
    answer = house.call("POST", json=body)
    assert answer.status_code == 201, answer.text
    row = answer.json()
    assert answer.headers["location"] == f"{house.path}/{row['id']}"
    assert answer.headers["content-type"] == "application/json"
    assert house.world.client.get(answer.headers["location"], headers=house.world.admin).json() == row
    assert set(row) == set(house.public)
    same(house, body, row)


@every_house()
def test_members_left_out_get_their_defaults(house: House) -> None:
    """Required members suffice."""
    row = house.make_plain()
    for name, schema in house.create.items():
        if "default" in schema:
            same(house, {name: schema["default"]}, row)


@every_house()
def test_instants_are_utc_with_z(house: House) -> None:
    """Every instant of an answer ends in Z, whatever offset was sent."""
    row = house.make()
    for name, schema in house.public.items():
        if house.world.bodies.kind(schema) == "date-time" and row[name] is not None:
            assert INSTANT.match(row[name]), (name, row[name])


@every_house("list", "get", "update", "put", "delete")
def test_the_trailing_slash_makes_no_difference(house: House) -> None:
    """Both forms answer alike, and neither redirects."""
    created = house.call("POST", "/", json=house.body())
    row = created.json()
    assert (created.status_code, created.headers["location"]) == (201, f"{house.path}/{row['id']}")
    member = next(iter(house.update))
    one, other = house.call("GET", f"/{row['id']}"), house.call("GET", f"/{row['id']}/")
    assert (one.status_code, one.content) == (other.status_code, other.content) == (200, one.content)
    one, other = (house.call("GET", slash, params={"id__in": row["id"]}) for slash in ("", "/"))
    assert (one.status_code, one.content) == (other.status_code, other.content) == (200, one.content)
    for method in ("PATCH", "PUT"):
        assert house.call(method, f"/{row['id']}/", json=house.change(row, member)).status_code == 200
    assert house.call("DELETE", f"/{row['id']}/").status_code == 204


@every_house("update", "put")
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_change_changes_only_what_is_sent(house: House, method: str) -> None:
    """Each member by itself; `updated_at` moves, `created_at` and the rest stay; what is answered is stored."""
    row = house.make()
    for name in house.update:
        change = house.change(row, name)
        answer = house.call(method, f"/{row['id']}", json=change)
        assert answer.status_code == 200, (change, answer.text)
        changed = answer.json()
        same(house, change, changed)
        assert changed["updated_at"] > row["updated_at"]
        touched = {name, "updated_at", "slug"}
        assert {n: v for n, v in changed.items() if n not in touched} == {
            n: v for n, v in row.items() if n not in touched
        }
        assert house.stored(row) == changed
        row = changed


@every_house("update")
def test_a_nullable_member_can_be_emptied(house: House) -> None:
    """Null is a value, and is not the same as a member that is not sent."""
    row = house.make()
    for name, schema in house.update.items():
        if any(arm.get("type") == "null" for arm in schema.get("anyOf", ())):
            row = house.call("PATCH", f"/{row['id']}", json={name: None}).json()
            assert row[name] is None
    assert house.stored(row) == row


@every_house("update", "put")
def test_an_empty_change_is_400_and_changes_nothing(house: House) -> None:
    """An update that names no member is a mistake."""
    row = house.make()
    for method in ("PATCH", "PUT"):
        problem(house.call(method, f"/{row['id']}", json={}), 400, "empty_update")
    assert house.stored(row) == row


@every_house("delete")
def test_delete_answers_204_and_the_row_is_gone(house: House) -> None:
    """Only that row, and only once."""
    row, neighbour = house.make(), house.make()
    answer = house.call("DELETE", f"/{row['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    problem(house.call("GET", f"/{row['id']}"), 404, "not_found")
    problem(house.call("DELETE", f"/{row['id']}"), 404, "not_found")
    assert house.stored(neighbour) == neighbour


@every_house("delete")
def test_the_id_of_a_deleted_row_is_not_given_again(house: House) -> None:
    """SQLite would, left to itself."""
    row = house.make()
    assert house.call("DELETE", f"/{row['id']}").status_code == 204
    assert house.make()["id"] != row["id"]


@every_house("get", "update", "put", "delete")
def test_a_missing_row_is_404(house: House) -> None:
    """Whatever the verb."""
    row = house.make()
    change = house.change(row, next(name for name in house.update if name not in house.references))
    for method, body in (("GET", None), ("PATCH", change), ("PUT", change), ("DELETE", None)):
        problem(house.call(method, f"/{absent_key(house)}", json=body), 404, "not_found")
    assert house.stored(row) == row
