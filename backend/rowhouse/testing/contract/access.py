"""Promises about callers: the policies for each role, and rows that belong to somebody else."""

from collections.abc import Mapping
from typing import Any

from rowhouse.auth.models import ADMINISTRATOR
from rowhouse.core.policy import Policy
from rowhouse.crud.base import CRUDBase
from rowhouse.registration.registry import Registration
from rowhouse.testing.bodies.maker import Row
from rowhouse.testing.contract.choice import every_entity
from rowhouse.testing.contract.entity import NOBODY, EntityClient
from rowhouse.testing.contract.responses import problem
from rowhouse.testing.contract.verbs import changeable

UNAUTHORIZED, FORBIDDEN, MISSING = 401, 403, 404
CHANGES = {"update": "PATCH", "put": "PUT", "delete": "DELETE"}
# The verb of `CRUDBase` behind each operation.
VERBS = {"update": "update", "put": "update", "delete": "delete"}


def hidden(registration: Registration) -> bool:
    """Return whether only the owner sees a row, by the engine's own rule."""
    resource, crud = registration.resource, registration.crud
    is_plain = crud.scope is CRUDBase.scope and crud.writable is CRUDBase.writable
    return resource.owner_only and is_plain and _has_members(resource.write)


def readable_by_others(registration: Registration) -> bool:
    """Return whether others read a row that they may not change, by the engine's own rule."""
    resource, crud = registration.resource, registration.crud
    is_plain = crud.scope is CRUDBase.scope and crud.writable is CRUDBase.writable
    is_owned = resource.owner is not None and not resource.owner_only
    return is_owned and is_plain and _has_members(resource.write, resource.read) and changeable(registration)


def _has_members(*policies: Policy) -> bool:
    """Return whether a role other than the administrator's satisfies the policies."""
    allowed = [policy.roles for policy in policies if policy.roles is not None]
    return not allowed or bool(frozenset.intersection(*allowed) - {ADMINISTRATOR})


def refusals(entity: EntityClient, method: str) -> tuple[int, ...]:
    """Return the statuses of a request for a row that the caller does not see.

    A verb that the project overrides may have a rule of its own, such as "only administrators delete".
    """
    verbs = [verb for name, verb in VERBS.items() if CHANGES.get(name) == method]
    crud = entity.registration.crud
    return (MISSING, FORBIDDEN) if any(getattr(crud, v) is not getattr(CRUDBase, v) for v in verbs) else (MISSING,)


def attempts(entity: EntityClient, row: Row) -> list[tuple[str, str, Any]]:
    """Return the requests that name a row: method, path and body."""
    path = entity.row_path(row)
    change = entity.plain_change(row) if entity.bodies.update else {"no_such_member": 1}
    found: list[tuple[str, str, Any]] = [("GET", path, None)] if entity.has("get") else []
    changes = [method for name, method in CHANGES.items() if entity.has(name)]
    found += [(method, path, None if method == "DELETE" else change) for method in changes]
    found += [("POST", f"{path}/{step.name}", None) for step in entity.resource.steps]
    return found + ([("GET", f"{path}/history", None)] if entity.resource.history else [])


class AccessPromises:
    """Who may do what.

    Whose rows a caller sees and changes is tested by the engine's own rule only: an owner, and nothing else. A CRUD
    class that overrides `scope` or `writable` has a rule that nobody can guess: its project tests that rule.
    """

    @every_entity()
    def test_policies_hold_for_every_role(self, contract_entity: EntityClient) -> None:
        """401 for nobody and 403 for a wrong role, before the body is looked at; others pass."""
        entity = contract_entity
        callers: dict[str, Mapping[str, str]] = {"": NOBODY}
        callers |= {role: entity.running.accounts.shared(role, "policies") for role in entity.roles}
        requests = [("list", "GET", "", entity.resource.read), ("create", "POST", "", entity.resource.write)]
        requests += [("list", "GET", tail, entity.resource.read) for tail in ("/export", "/aggregate")]
        requests += [("create", "POST", "/batch", entity.resource.write)]
        requests += [("delete", "GET", "/deleted", entity.resource.write)] if entity.resource.soft_delete else []
        for operation, method, tail, policy in requests:
            for role, headers in callers.items() if entity.has(operation) else ():
                allowed = policy.anyone or (bool(role) and (policy.roles is None or role in policy.roles))
                refusal = FORBIDDEN if role else UNAUTHORIZED
                options = {} if method == "GET" else {"json": "no object"}
                answer = entity.call(method, tail, headers, **options)
                if allowed:
                    said = f"{method} {entity.path}{tail} refused {role or 'nobody'}: {answer.text}"
                    assert answer.status_code not in (UNAUTHORIZED, FORBIDDEN), said
                else:
                    problem(answer, refusal)

    @every_entity("create", where=hidden)
    def test_a_row_of_somebody_else_is_404(self, contract_entity: EntityClient) -> None:
        """In every operation that names it; it is in no list and no export, and stays as it is."""
        entity = contract_entity
        owner, stranger = entity.member(entity.resource.write), entity.member(entity.resource.write)
        row = entity.make(owner)
        assert row.get(str(entity.owner), owner.id) == owner.id
        for method, path, body in attempts(entity, row):
            answer = entity.call(method, path, stranger, json=body)
            assert answer.status_code in refusals(entity, method), answer.text
            problem(answer, answer.status_code)
        if entity.has("list"):
            mine = entity.only([row])
            assert entity.listed(mine, stranger)["total"] == 0
            export = entity.call("GET", "/export", stranger, params={**mine, "format": "ndjson"})
            assert (export.status_code, export.content) == (200, b"")
            counted = entity.call("GET", "/aggregate", stranger, params={**mine, "count": ""})
            assert counted.json() == {"items": [{"count": 0}]}
            assert entity.listed(mine, owner)["items"] == [row]
        if entity.has("get"):
            assert entity.shown(entity.call("GET", entity.row_path(row), owner)) == row

    @every_entity("create", "get", where=readable_by_others)
    def test_a_row_of_somebody_else_is_read_but_not_changed(self, contract_entity: EntityClient) -> None:
        """403 for every change; the row stays as it is."""
        entity = contract_entity
        policies = entity.resource.write, entity.resource.read
        owner, stranger = entity.member(*policies), entity.member(*policies)
        row = entity.make(owner)
        for method, path, body in attempts(entity, row):
            answer = entity.call(method, path, stranger, json=body)
            if method == "GET":
                assert answer.status_code == 200, answer.text
            else:
                problem(answer, FORBIDDEN)
        assert entity.stored(row) == row
