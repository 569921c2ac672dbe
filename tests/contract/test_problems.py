"""Errors that come before validation: caller, path, method and type of the body (docs/contract.md §4)."""

import json

from tests.contract.entity_client import EntityClient, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_entity, few
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


def calls(entity: EntityClient, row: Row) -> dict[str, tuple[str, str, Row | None]]:
    """Return a valid call of each operation of the entity."""
    names = [name for name in entity.update if name not in entity.references]
    change = entity.change(row, names[0]) if names else None
    found: dict[str, tuple[str, str, Row | None]] = {"list": ("GET", "", None), "create": ("POST", "", entity.body())}
    for method, operation in ITEM_METHODS.items():
        found[operation] = (method, f"/{row['id']}", change if method in ("PATCH", "PUT") else None)
    return {name: call for name, call in found.items() if name in entity.registration.operations}


@every_entity()
def test_nobody_signed_in_is_401(entity: EntityClient) -> None:
    """Unless the entity is open to anyone. Nothing is stored, changed or deleted."""
    row = entity.make()
    for operation, (method, path, body) in calls(entity, row).items():
        policy = entity.resource.read if operation in ("list", "get") else entity.resource.write
        answer = entity.call(method, path, {}, json=body)
        if policy.anyone:
            assert answer.status_code == 200, (operation, answer.text)
        else:
            problem(answer, 401, "not_authenticated")
    assert entity.stored(row) == row


@every_entity(where=few)
def test_bad_credentials_are_401(entity: EntityClient) -> None:
    """Also where no account is needed. A hand-written `get` may behave differently."""
    row = entity.make()
    for operation, (method, path, body) in calls(entity, row).items():
        if not (operation == "get" and entity.resource.path == "notices"):
            for credentials in BAD_CREDENTIALS:
                answer = entity.call(method, path, {"Authorization": credentials}, json=body)
                problem(answer, 401, "not_authenticated")
    assert entity.stored(row) == row


@every_entity(where=lambda registration: registration.resource.write.roles is not None)
def test_a_caller_without_the_role_is_403(entity: EntityClient) -> None:
    """Before the body is validated. The row stays."""
    row, user = entity.make(), entity.running_app.caller("user", "user")
    for operation, (method, path, _body) in calls(entity, row).items():
        if operation not in ("list", "get"):
            problem(entity.call(method, path, user, json={"no such": "member"}), 403, "permission_denied")
    assert entity.stored(row) == row


@every_entity(where=lambda registration: registration.resource.read.roles is not None)
def test_a_reader_without_the_role_is_403(entity: EntityClient) -> None:
    """Also for a row that does not exist, so that the response does not reveal rows."""
    user = entity.running_app.caller("user", "user")
    problem(entity.call("GET", "", user), 403, "permission_denied")
    problem(entity.call("GET", f"/{entity.make()['id']}", user), 403, "permission_denied")
    problem(entity.call("GET", f"/{absent_key(entity)}", user), 403, "permission_denied")


@every_entity()
def test_an_unknown_path_is_404(entity: EntityClient) -> None:
    """Below the entity, beside it and with one slash too many."""
    row = entity.make()
    for path in (f"/{row['id']}/nothing", f"/{row['id']}//", "//", f"//{row['id']}", "s"):
        problem(entity.call("GET", path), 404, "not_found")


@every_entity("list", "get", "update", "put", "delete", where=few)
def test_another_method_is_405_with_allow(entity: EntityClient) -> None:
    """`Allow` lists the methods of the path."""
    row = entity.make()
    for path, allowed in (("", {"GET", "HEAD", "POST"}), (f"/{row['id']}", {"HEAD", *ITEM_METHODS})):
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND"} - allowed:
            answer = entity.call(method, path, json={})
            problem(answer, 405, "method_not_allowed")
            assert set(answer.headers["allow"].split(", ")) == allowed
    assert entity.stored(row) == row


@every_entity("update", "put", where=few)
def test_a_body_that_is_too_large_is_413(entity: EntityClient) -> None:
    """For every method. Nothing is stored."""
    row, before = entity.make(), entity.total()
    for method, path in (("POST", ""), ("PATCH", f"/{row['id']}"), ("PUT", f"/{row['id']}")):
        answer = entity.call(method, path, content=TOO_LARGE, extra={"Content-Type": "application/json"})
        problem(answer, 413)
    assert entity.stored(row) == row
    assert entity.total() == before


@every_entity("update", "put", where=few)
def test_another_media_type_is_415(entity: EntityClient) -> None:
    """Only JSON is accepted. A missing type is 415 too."""
    row, body = entity.make(), json.dumps(entity.body()).encode()
    change = json.dumps(entity.change(row, next(iter(entity.update)))).encode()
    before = entity.total()
    calls = (("POST", "", body), ("PATCH", f"/{row['id']}", change), ("PUT", f"/{row['id']}", change))
    for media_type in OTHER_TYPES:
        for method, path, content in calls:
            headers = {"Content-Type": media_type} if media_type else {}
            problem(entity.call(method, path, content=content, extra=headers), 415, "unsupported_media_type")
    assert entity.stored(row) == row
    assert entity.total() == before


@every_entity("update", where=few)
def test_json_by_another_name_is_read(entity: EntityClient) -> None:
    """Media types are compared in any case and without their parameters (RFC 9110 §8.3.1)."""
    row = entity.make()
    change = json.dumps(entity.change(row, next(iter(entity.update)))).encode()
    for media_type in JSON_TYPES:
        answer = entity.call("PATCH", f"/{row['id']}", content=change, extra={"Content-Type": media_type})
        assert answer.status_code == 200, answer.text


@every_entity("update", "put", where=few)
def test_a_body_that_is_no_object_is_422(entity: EntityClient) -> None:
    """Nothing is stored."""
    row, before = entity.make(), entity.total()
    for method, path in (("POST", ""), ("PATCH", f"/{row['id']}"), ("PUT", f"/{row['id']}")):
        for content in BROKEN_BODIES:
            answer = entity.call(method, path, content=content, extra={"Content-Type": "application/json"})
            problem(answer, 422, "invalid_input")
    assert entity.stored(row) == row
    assert entity.total() == before
