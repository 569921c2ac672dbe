"""The verbs.

Status codes, `Location`, the trailing slash, and members that a change leaves alone (docs/contract.md §1, §2).
"""

import re
from datetime import datetime

import pytest

from tests.contract.entity_client import EntityClient, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_entity, few

INSTANT = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$")
ABSENT = {"integer": "2147483647", "uuid": "00000000-0000-4000-8000-000000000000"}


def absent_key(entity: EntityClient) -> str:
    """Return an id that no row has."""
    return ABSENT[entity.running_app.bodies.kind(entity.public["id"])]


def same(entity: EntityClient, sent: Row, shown: Row) -> None:
    """Require that a response shows the members that were sent, instants in UTC."""
    for name, value in sent.items():
        if name not in entity.public:
            continue
        kind = entity.running_app.bodies.kind(entity.public[name])
        if kind == "date-time" and value is not None:
            assert datetime.fromisoformat(shown[name]) == datetime.fromisoformat(value)
        elif kind == "duration":
            assert (shown[name] is None) == (value is None)
        elif kind == "number" and value is not None:
            assert shown[name] == float(value), name
        else:
            assert shown[name] == value, name


@every_entity()
def test_members_left_out_get_their_defaults(entity: EntityClient) -> None:
    """The required members are enough."""
    row = entity.make_plain()
    for name, schema in entity.create.items():
        if "default" in schema:
            same(entity, {name: schema["default"]}, row)


@every_entity()
def test_instants_are_utc_with_z(entity: EntityClient) -> None:
    """Every instant in a response ends in Z, for any offset in the request."""
    row = entity.make()
    for name, schema in entity.public.items():
        if entity.running_app.bodies.kind(schema) == "date-time" and row[name] is not None:
            assert INSTANT.match(row[name]), (name, row[name])


@every_entity("list", "get", "update", "put", "delete", where=few)
def test_the_trailing_slash_makes_no_difference(entity: EntityClient) -> None:
    """Both forms have the same response, and neither redirects."""
    created = entity.call("POST", "/", json=entity.body())
    row = created.json()
    assert (created.status_code, created.headers["location"]) == (201, f"{entity.path}/{row['id']}")
    member = next(iter(entity.update))
    one, other = entity.call("GET", f"/{row['id']}"), entity.call("GET", f"/{row['id']}/")
    assert (one.status_code, one.content) == (other.status_code, other.content) == (200, one.content)
    one, other = (entity.call("GET", slash, params={"id__in": row["id"]}) for slash in ("", "/"))
    assert (one.status_code, one.content) == (other.status_code, other.content) == (200, one.content)
    for method in ("PATCH", "PUT"):
        assert entity.call(method, f"/{row['id']}/", json=entity.change(row, member)).status_code == 200
    assert entity.call("DELETE", f"/{row['id']}/").status_code == 204


@every_entity("update", "put")
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_change_changes_only_what_is_sent(entity: EntityClient, method: str) -> None:
    """Each member by itself. `updated_at` changes, `created_at` and all others stay. The response shows the stored row."""
    row = entity.make()
    for name in entity.update:
        change = entity.change(row, name)
        answer = entity.call(method, f"/{row['id']}", json=change)
        assert answer.status_code == 200, (change, answer.text)
        changed = answer.json()
        same(entity, change, changed)
        assert changed["updated_at"] > row["updated_at"]
        touched = {name, "updated_at", "slug"}
        assert {n: v for n, v in changed.items() if n not in touched} == {
            n: v for n, v in row.items() if n not in touched
        }
        assert entity.stored(row) == changed
        row = changed


@every_entity("update")
def test_a_nullable_member_can_be_emptied(entity: EntityClient) -> None:
    """Null is a value, and differs from a missing member."""
    row = entity.make()
    for name, schema in entity.update.items():
        if any(arm.get("type") == "null" for arm in schema.get("anyOf", ())):
            row = entity.call("PATCH", f"/{row['id']}", json={name: None}).json()
            assert row[name] is None
    assert entity.stored(row) == row


@every_entity("delete", where=few)
def test_the_id_of_a_deleted_row_is_not_given_again(entity: EntityClient) -> None:
    """SQLite would reuse it by default."""
    row = entity.make()
    assert entity.call("DELETE", f"/{row['id']}").status_code == 204
    assert entity.make()["id"] != row["id"]


@every_entity("get", "update", "put", "delete", where=few)
def test_a_missing_row_is_404(entity: EntityClient) -> None:
    """For every verb."""
    row = entity.make()
    change = entity.change(row, next(name for name in entity.update if name not in entity.references))
    for method, body in (("GET", None), ("PATCH", change), ("PUT", change), ("DELETE", None)):
        problem(entity.call(method, f"/{absent_key(entity)}", json=body), 404, "not_found")
    assert entity.stored(row) == row
