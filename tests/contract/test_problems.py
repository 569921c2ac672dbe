"""Every refusal before the values are looked at: who, where, which method, what kind of body (docs/contract.md §4)."""

import json

from tests.contract.entity_client import House, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_house
from tests.contract.test_verbs import absent_key

ITEM_METHODS = {"GET": "get", "PATCH": "update", "PUT": "put", "DELETE": "delete"}
BAD_CREDENTIALS = ("Bearer nonsense", "Basic YTpi", "Bearer ", "")
BROKEN_BODIES = (
    b"",
    b'{"a": ',
    b"name=x",
    b"null",
    b"[]",
    b'"text"',
    b"1",
    b"{}{}",
    b'{"invalid UTF-8 \xff": 1}',
    b'{"lone surrogate \\ud800": 1}',
    b'{"too deep":' + b"[" * 5000 + b"]" * 5000 + b"}",
)
TOO_LARGE = b'{"text": "' + b"x" * 1024 * 1024 + b'"}'
OTHER_TYPES = ("text/plain", "application/x-www-form-urlencoded", "application/xml", "json", "")
JSON_TYPES = ("application/json; charset=utf-8", "Application/JSON", "application/merge-patch+json")


def calls(house: House, row: Row) -> dict[str, tuple[str, str, Row | None]]:
    """A valid call of each operation that the entity has."""
    names = [name for name in house.update if name not in house.references]
    change = house.change(row, names[0]) if names else None
    found: dict[str, tuple[str, str, Row | None]] = {"list": ("GET", "", None), "create": ("POST", "", house.body())}
    for method, operation in ITEM_METHODS.items():
        found[operation] = (method, f"/{row['id']}", change if method in ("PATCH", "PUT") else None)
    return {name: call for name, call in found.items() if name in house.registration.operations}


@every_house()
def test_nobody_signed_in_is_401(house: House) -> None:
    """Wherever the entity is not open to anyone; nothing is stored, changed or deleted."""
    row = house.make()
    for operation, (method, path, body) in calls(house, row).items():
        policy = house.plan.read if operation in ("list", "get") else house.plan.write
        answer = house.call(method, path, {}, json=body)
        if policy.anyone:
            assert answer.status_code == 200, (operation, answer.text)
        else:
            problem(answer, 401, "not_authenticated")
    assert house.stored(row) == row


@every_house()
def test_bad_credentials_are_401(house: House) -> None:
    """Also where nobody need sign in: who sends credentials means them. What `get` does by hand is the developer's."""
    row = house.make()
    for operation, (method, path, body) in calls(house, row).items():
        if not (operation == "get" and house.plan.path == "notices"):
            for credentials in BAD_CREDENTIALS:
                answer = house.call(method, path, {"Authorization": credentials}, json=body)
                problem(answer, 401, "not_authenticated")
    assert house.stored(row) == row


@every_house(where=lambda registration: registration.resource.write.roles is not None)
def test_a_caller_without_the_role_is_403(house: House) -> None:
    """Before the body is looked at; the row stays."""
    row, user = house.make(), house.world.caller("user", "user")
    for operation, (method, path, _body) in calls(house, row).items():
        if operation not in ("list", "get"):
            problem(house.call(method, path, user, json={"no such": "member"}), 403, "permission_denied")
    assert house.stored(row) == row


@every_house(where=lambda registration: registration.resource.read.roles is not None)
def test_a_reader_without_the_role_is_403(house: House) -> None:
    """Also for a row that does not exist: the rows of others are not counted."""
    user = house.world.caller("user", "user")
    problem(house.call("GET", "", user), 403, "permission_denied")
    problem(house.call("GET", f"/{house.make()['id']}", user), 403, "permission_denied")
    problem(house.call("GET", f"/{absent_key(house)}", user), 403, "permission_denied")


@every_house()
def test_an_unknown_path_is_404(house: House) -> None:
    """Below the entity, beside it and one slash too many."""
    row = house.make()
    for path in (f"/{row['id']}/nothing", f"/{row['id']}//", "//", f"//{row['id']}", "s"):
        problem(house.call("GET", path), 404, "not_found")


@every_house("list", "get", "update", "put", "delete")
def test_another_method_is_405_with_allow(house: House) -> None:
    """`Allow` lists what the path takes."""
    row = house.make()
    for path, allowed in (("", {"GET", "HEAD", "POST"}), (f"/{row['id']}", {"HEAD", *ITEM_METHODS})):
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - allowed:
            answer = house.call(method, path, json={})
            problem(answer, 405, "method_not_allowed")
            assert set(answer.headers["allow"].split(", ")) == allowed
    assert house.stored(row) == row


@every_house("update", "put")
def test_a_body_that_is_too_large_is_413(house: House) -> None:
    """Whatever the method; nothing of it is kept."""
    row, before = house.make(), house.total()
    for method, path in (("POST", ""), ("PATCH", f"/{row['id']}"), ("PUT", f"/{row['id']}")):
        answer = house.call(method, path, content=TOO_LARGE, extra={"Content-Type": "application/json"})
        problem(answer, 413)
    assert house.stored(row) == row
    assert house.total() == before


@every_house("update", "put")
def test_another_media_type_is_415(house: House) -> None:
    """Only JSON is read; a missing type is none."""
    row, body = house.make(), json.dumps(house.body()).encode()
    change = json.dumps(house.change(row, next(iter(house.update)))).encode()
    before = house.total()
    calls = (("POST", "", body), ("PATCH", f"/{row['id']}", change), ("PUT", f"/{row['id']}", change))
    for media_type in OTHER_TYPES:
        for method, path, content in calls:
            headers = {"Content-Type": media_type} if media_type else {}
            problem(house.call(method, path, content=content, extra=headers), 415, "unsupported_media_type")
    assert house.stored(row) == row
    assert house.total() == before


@every_house("update")
def test_json_by_another_name_is_read(house: House) -> None:
    """Media types are compared in any case, their parameters left aside (RFC 9110 §8.3.1)."""
    row = house.make()
    change = json.dumps(house.change(row, next(iter(house.update)))).encode()
    for media_type in JSON_TYPES:
        answer = house.call("PATCH", f"/{row['id']}", content=change, extra={"Content-Type": media_type})
        assert answer.status_code == 200, answer.text


@every_house("update", "put")
def test_a_body_that_is_no_object_is_422(house: House) -> None:
    """Whatever is wrong with it; nothing is stored."""
    row, before = house.make(), house.total()
    for method, path in (("POST", ""), ("PATCH", f"/{row['id']}"), ("PUT", f"/{row['id']}")):
        for content in BROKEN_BODIES:
            answer = house.call(method, path, content=content, extra={"Content-Type": "application/json"})
            problem(answer, 422, "invalid_input")
    assert house.stored(row) == row
    assert house.total() == before
