"""Conflicts with stored rows.

Duplicate values, missing references and rows that are still referenced (docs/contract.md §2, §4).
"""

from typing import Any

import sqlalchemy as sa

from rowhouse.registration.registry import Registration
from tests.contract.entity_client import EntityClient, Row
from tests.contract.problems import problem
from tests.contract.registrations import Case, every_entity
from tests.contract.test_verbs import absent_key
from tests.sample_entities.odd.registry import registry as odd


def unique_columns(registration: Registration) -> list[list[str]]:
    """Return the columns of each unique constraint whose values a client may set."""
    table = registration.resource.table
    found = [[c.name for c in u.columns] for u in table.constraints if isinstance(u, sa.UniqueConstraint)]
    return [names for names in found if set(names) <= set(registration.resource.schemas.create.model_fields)]


def refers(registration: Registration) -> bool:
    """Return True if a member refers to another row."""
    resource = registration.resource
    return any(column.column.foreign_keys and name != resource.owner for name, column in resource.columns.items())


def is_referred_to(case: Case) -> bool:
    """Return True if a member of another entity refers to this one."""
    others, table = case.api.registry.registrations.values(), case.registration.resource.table
    return any(target is table for other in others for target in _targets(other))


def _targets(registration: Registration) -> list[sa.Table]:
    resource = registration.resource
    columns = [column.column for name, column in resource.columns.items() if name != resource.owner]
    return [key.column.table for column in columns for key in column.foreign_keys]


@every_entity("create", "update", where=lambda registration: bool(unique_columns(registration)))
def test_a_taken_value_is_409(entity: EntityClient) -> None:
    """In a new row and in a change. `detail` names the entity and the members, and the row stays as it was."""
    for names in unique_columns(entity.registration):
        row, other, before = entity.make(), entity.make(), entity.total()
        taken = {name: row[name] for name in names}
        said = f"{entity.name} with this {' and '.join(names)} already exists"
        assert problem(entity.call("POST", json=entity.body(**taken)), 409, "duplicate")["detail"] == said
        if set(names) <= set(entity.update):
            for method in ("PATCH", "PUT"):
                answer = entity.call(method, f"/{other['id']}", json=taken)
                assert problem(answer, 409, "duplicate")["detail"] == said
            assert entity.call("PATCH", f"/{row['id']}", json=taken).status_code == 200
        assert entity.stored(other) == other
        assert entity.total() == before


@every_entity("create", "update", where=lambda registration: any(len(u) > 1 for u in unique_columns(registration)))
def test_one_of_two_unique_columns_may_repeat(entity: EntityClient) -> None:
    """Only the pair is unique."""
    row = entity.make()
    for names in unique_columns(entity.registration):
        for name in names:
            assert entity.make(**{name: row[name]})[name] == row[name]


@every_entity("create", "update", "put", where=refers)
def test_a_reference_to_nothing_is_409(entity: EntityClient) -> None:
    """In a new row and in a change. It names the member, and the row stays as it was."""
    row = entity.make()
    for name, target in entity.references.items():
        nothing = _absent(entity, target)
        body, before = entity.body(**{name: nothing}), entity.total()
        changes = [(method, f"/{row['id']}", {name: nothing}) for method in ("PATCH", "PUT") if name in entity.update]
        for method, path, sent in (("POST", "", body), *changes):
            answer = problem(entity.call(method, path, json=sent), 409, "reference_not_found")
            assert answer["detail"].startswith(f"{name}: ")
            assert str(nothing) in answer["detail"]
        assert entity.total() == before
    assert entity.stored(row) == row


def _absent(entity: EntityClient, target: sa.Column[Any]) -> Any:
    if isinstance(target.type, sa.String):
        return "no such row"
    key = absent_key(entity.running_app.entity_of(target.table.name))
    return int(key) if key.isdecimal() else key


@every_entity("delete", where_case=is_referred_to)
def test_deleting_a_row_that_is_referred_to_is_409(entity: EntityClient) -> None:
    """Both rows stay. Without the reference the delete succeeds."""
    for referring, member in _referring(entity):
        row = entity.make_plain()
        other = referring.make(**{member: row[referring.references[member].name]})
        problem(entity.call("DELETE", f"/{row['id']}"), 409, "still_referenced")
        assert entity.stored(row) == row
        assert referring.stored(other) == other
        assert referring.call("DELETE", f"/{other['id']}").status_code == 204
        assert entity.call("DELETE", f"/{row['id']}").status_code == 204


def refers_to_no_key(registration: Registration) -> bool:
    """Return True if a member refers to a column of its own table that may change."""
    table = registration.resource.table
    keys = [key.column for column in table.columns for key in column.foreign_keys]
    return any(not column.primary_key and column.table is table for column in keys)


@every_entity("create", "update", where=refers_to_no_key)
def test_changing_a_value_that_is_referred_to_is_409(entity: EntityClient) -> None:
    """Whether or not the row itself refers to another one. All three stay as they were."""
    for name, target in entity.references.items():
        last = entity.make()
        middle = entity.make(**{name: last[target.name]})
        first = entity.make(**{name: middle[target.name]})
        for row in (last, middle):
            changed = {target.name: entity.body()[target.name]}
            problem(entity.call("PATCH", f"/{row['id']}", json=changed), 409, "still_referenced")
        assert [entity.stored(row) for row in (first, middle, last)] == [first, middle, last]


def _referring(entity: EntityClient) -> list[tuple[EntityClient, str]]:
    """Yield the entities that refer to this one and are not deleted with it, each with its member."""
    others = [entity.running_app.entity(path) for path in entity.running_app.registry.registrations]
    return [
        (other, name)
        for other in others
        for name, target in other.references.items()
        if target.table is entity.resource.table and not _goes_along(other.resource.table.columns[name])
    ]


def _goes_along(column: sa.Column[Any]) -> bool:
    return any(key.ondelete == "CASCADE" for key in column.foreign_keys)


@every_entity("create", where=lambda r: r.resource.owner is not None and r not in odd.registrations.values())
def test_deleting_an_account_that_owns_rows_is_409(entity: EntityClient) -> None:
    """The account stays, and so does the row."""
    accounts = entity.running_app.entity("users")
    owner: Row = entity.running_app.client.get("/api/v1/users/me", headers=entity.running_app.caller("owner")).json()
    row = entity.make(
        entity.running_app.caller("owner"), **({"vehicle_id": None} if "vehicle_id" in entity.create else {})
    )
    problem(accounts.call("DELETE", f"/{owner['id']}"), 409, "still_referenced")
    assert accounts.stored(owner) == owner
    assert entity.stored(row) == row
