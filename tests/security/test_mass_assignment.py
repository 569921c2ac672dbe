"""Members that the server owns are rejected in every body: 422 names the member, and nothing happens (OWASP API3).

The tests find the operations in the OpenAPI document. For a hand-written one, `by_hand` must state a valid body.
"""

from collections.abc import Mapping
from typing import Any

import pytest
from httpx2 import Response

from tests.conftest import sign_up, unique
from tests.contract.entity_client import Headers, Row
from tests.contract.problems import faulty_members, problem
from tests.isolation.probes import change_of
from tests.security.attacked_app import API, AttackedApp
from tests.security.hand_written import HandWritten, Operation, sign_up_body

JSON = "application/json"
MEMBERS: dict[str, Any] = {
    "id": 1, "created_at": "2020-01-01T00:00:00Z", "updated_at": "2020-01-01T00:00:00Z", "role": "admin", "roles": ["admin"], "is_admin": True,
    "is_active": True, "hashed_password": "x" * 60, "token_version": 0, "email": "taken@example.com", "password": "another-horse",
    "status": "CONFIRMED", "total": 0, "unit_price": 0, "family": "x", "fingerprint": "x", "expires_at": "2099-01-01T00:00:00Z",
    "__proto__": {"role": "admin"}, "constructor": {}, "__class__": "Admin", "__dict__": {}, "model_config": {"extra": "allow"}, "_sa_instance_state": {},
    "extra": 1, "": 1, "Role": "admin", "role ": "admin", "user.role": "admin", "user[role]": "admin",
    **dict.fromkeys(("driver_id", "author_id", "user_id", "customer_id"), 1),
}  # fmt: skip


def schema_of(attacked: AttackedApp, operation: Operation) -> tuple[Mapping[str, Any], bool]:
    """Return the schema of an operation's body, or of one element of a batch."""
    method, tail = operation
    content = attacked.running_app.document["paths"][f"{API}{tail}"][method]["requestBody"]["content"][JSON]
    schema = attacked.running_app.bodies.resolve(content["schema"])
    is_batch = schema.get("type") == "array"
    return (attacked.running_app.bodies.resolve(schema["items"]) if is_batch else schema), is_batch


def reading_json(attacked: AttackedApp) -> list[Operation]:
    """Yield every operation with a JSON body."""
    found = []
    for path, item in attacked.running_app.document["paths"].items():
        for method, operation in item.items():
            if JSON in operation.get("requestBody", {}).get("content", {}):
                found.append((method, path.removeprefix(API)))
    return found


def valid(attacked: AttackedApp, routes: HandWritten, operation: Operation) -> tuple[str, Row]:
    """Return the path, to a new row if it names one, and a valid body, for a batch its one element."""
    method, tail = operation
    if operation in routes.known:
        row = attacked.running_app.entity("books").make(stock=9) if "{id}" in tail else {}
        return f"{API}{tail.format(**row)}", routes.body(attacked, operation) or {}
    entity = attacked.running_app.entity(tail.split("/")[1])
    if method == "post":
        return f"{API}{tail}", entity.body()
    row = entity.make() if "create" in entity.registration.operations else new_account(attacked)
    change = change_of(entity, row)
    change |= {
        name: unique("changed") for name in change if attacked.running_app.bodies.kind(entity.update[name]) == "string"
    }
    return f"{API}{tail.format(**row)}", {**change, **({"id": row["id"]} if tail.endswith("/batch") else {})}


def new_account(attacked: AttackedApp) -> Row:
    """Sign up an account."""
    found: Row = attacked.client.get(f"{API}/users/me", headers=sign_up(attacked.client)).json()
    return found


def caller(attacked: AttackedApp, operation: Operation) -> Headers:
    """Return the headers of an administrator, or of a new account if the operation is about the caller's own account."""
    return sign_up(attacked.client) if operation[1].startswith("/users/me") else attacked.admin


def test_no_body_takes_what_is_the_servers(attacked: AttackedApp, routes: HandWritten) -> None:
    """Nor an unknown member. Without it the same body is accepted, so that member was the reason."""
    operations = reading_json(attacked)
    assert len(operations) > 20
    for operation in operations:
        schema, is_batch = schema_of(attacked, operation)
        assert schema["additionalProperties"] is False, operation
        (path, body), who = valid(attacked, routes, operation), caller(attacked, operation)

        def send(body: Row) -> Response:
            return attacked.client.request(operation[0], path, json=[body] if is_batch else body, headers=who)  # noqa: B023  called at once

        with attacked.unchanged():
            smuggled = {name: value for name, value in MEMBERS.items() if name not in schema["properties"]}
            faults = problem(send({**body, **smuggled}), 422)["errors"]
            assert {fault["loc"][-1] for fault in faults} == set(smuggled), operation
        answer = send(body)
        assert answer.status_code in (200, 201, 204), (operation, answer.text)


@pytest.mark.parametrize(
    "role", ["admin", "ADMIN", "Admin", " admin", "admin\x00", "", None, 2, ["admin"], {"admin": 1}]
)
def test_nobody_signs_up_as_administrator(attacked: AttackedApp, role: Any) -> None:
    """In any form. No account is created."""
    with attacked.unchanged():
        answer = attacked.client.post(f"{API}/users", json={**sign_up_body(attacked), "role": role})
        assert faulty_members(answer) == {"role"}


@pytest.mark.parametrize("role", ["user", "driver", "admin"])
def test_no_caller_raises_their_own_role(attacked: AttackedApp, role: str) -> None:
    """Neither by `/users/me` nor by the administrators' route."""
    account = attacked.client.get(f"{API}/users/me", headers=attacked.stranger).json()
    with attacked.unchanged():
        for method, path, status in (
            ("PATCH", "/users/me", 422),
            ("PATCH", f"/users/{account['id']}", 403),
            ("PUT", f"/users/{account['id']}", 403),
        ):
            body = {"role": role, "is_active": True}
            problem(attacked.client.request(method, f"{API}{path}", json=body, headers=attacked.stranger), status)
        batch = [{"id": account["id"], "role": role}]
        problem(attacked.client.patch(f"{API}/users/batch", json=batch, headers=attacked.stranger), 403)
