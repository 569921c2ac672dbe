"""What contradicts the stored rows: taken values, references to nothing, rows still referred to (docs/contract.md §2, §4)."""

from typing import Any

import sqlalchemy as sa

from app.api import registry as product
from rowhouse.registration.registry import Registration
from tests.contract.entity_client import House, Row
from tests.contract.problems import problem
from tests.contract.registrations import CASES, every_house
from tests.contract.test_verbs import absent_key


def unique_columns(registration: Registration) -> list[list[str]]:
    """The columns of each unique constraint whose values a client may set."""
    table = registration.resource.table
    found = [[c.name for c in u.columns] for u in table.constraints if isinstance(u, sa.UniqueConstraint)]
    return [names for names in found if set(names) <= set(registration.resource.schemas.create.model_fields)]


def refers(registration: Registration) -> bool:
    """Whether a member refers to another row."""
    plan = registration.resource
    return any(column.column.foreign_keys and name != plan.owner for name, column in plan.columns.items())


def is_referred_to(registration: Registration) -> bool:
    """Whether another entity's member refers to this one."""
    return any(target is registration.resource.table for case in CASES for target in _targets(case.registration))


def _targets(registration: Registration) -> list[sa.Table]:
    plan = registration.resource
    columns = [column.column for name, column in plan.columns.items() if name != plan.owner]
    return [key.column.table for column in columns for key in column.foreign_keys]


@every_house("create", "update", where=lambda registration: bool(unique_columns(registration)))
def test_a_taken_value_is_409(house: House) -> None:
    """In a new row and in a change; `detail` names the entity and the members, and the row stays as it was."""
    for names in unique_columns(house.registration):
        row, other, before = house.make(), house.make(), house.total()
        taken = {name: row[name] for name in names}
        said = f"{house.name} with this {' and '.join(names)} already exists"
        assert problem(house.call("POST", json=house.body(**taken)), 409, "duplicate")["detail"] == said
        if set(names) <= set(house.update):
            for method in ("PATCH", "PUT"):
                answer = house.call(method, f"/{other['id']}", json=taken)
                assert problem(answer, 409, "duplicate")["detail"] == said
            assert house.call("PATCH", f"/{row['id']}", json=taken).status_code == 200
        assert house.stored(other) == other
        assert house.total() == before


@every_house("create", "update", where=lambda registration: any(len(u) > 1 for u in unique_columns(registration)))
def test_one_of_two_unique_columns_may_repeat(house: House) -> None:
    """Only the pair is unique."""
    row = house.make()
    for names in unique_columns(house.registration):
        for name in names:
            assert house.make(**{name: row[name]})[name] == row[name]


@every_house("create", "update", "put", where=refers)
def test_a_reference_to_nothing_is_409(house: House) -> None:
    """Naming the member, in a new row and in a change; the row stays as it was."""
    row = house.make()
    for name, target in house.references.items():
        nothing = _absent(house, target)
        body, before = house.body(**{name: nothing}), house.total()
        changes = [(method, f"/{row['id']}", {name: nothing}) for method in ("PATCH", "PUT") if name in house.update]
        for method, path, sent in (("POST", "", body), *changes):
            answer = problem(house.call(method, path, json=sent), 409, "reference_not_found")
            assert answer["detail"].startswith(f"{name}: ")
            assert str(nothing) in answer["detail"]
        assert house.total() == before
    assert house.stored(row) == row


def _absent(house: House, target: sa.Column[Any]) -> Any:
    if isinstance(target.type, sa.String):
        return "no such row"
    key = absent_key(house.world.house_of(target.table.name))
    return int(key) if key.isdecimal() else key


@every_house("delete", where=is_referred_to)
def test_deleting_a_row_that_is_referred_to_is_409(house: House) -> None:
    """Both rows stay; without the one that refers, the delete succeeds."""
    for referring, member in _referring(house):
        row = house.make_plain()
        other = referring.make(**{member: row[referring.references[member].name]})
        problem(house.call("DELETE", f"/{row['id']}"), 409, "still_referenced")
        assert house.stored(row) == row
        assert referring.stored(other) == other
        assert referring.call("DELETE", f"/{other['id']}").status_code == 204
        assert house.call("DELETE", f"/{row['id']}").status_code == 204


def refers_to_no_key(registration: Registration) -> bool:
    """Whether a member refers to a column of its own table that may change."""
    table = registration.resource.table
    keys = [key.column for column in table.columns for key in column.foreign_keys]
    return any(not column.primary_key and column.table is table for column in keys)


@every_house("create", "update", where=refers_to_no_key)
def test_changing_a_value_that_is_referred_to_is_409(house: House) -> None:
    """Whether the row itself refers to another or not; all three stay as they were."""
    for name, target in house.references.items():
        last = house.make()
        middle = house.make(**{name: last[target.name]})
        first = house.make(**{name: middle[target.name]})
        for row in (last, middle):
            changed = {target.name: house.body()[target.name]}
            problem(house.call("PATCH", f"/{row['id']}", json=changed), 409, "still_referenced")
        assert [house.stored(row) for row in (first, middle, last)] == [first, middle, last]


def _referring(house: House) -> list[tuple[House, str]]:
    """The entities that refer to this one and do not go with it, each with its member."""
    others = [house.world.house(path) for path in house.world.registry.registrations]
    return [
        (other, name)
        for other in others
        for name, target in other.references.items()
        if target.table is house.plan.table and not _goes_along(other.plan.table.columns[name])
    ]


def _goes_along(column: sa.Column[Any]) -> bool:
    return any(key.ondelete == "CASCADE" for key in column.foreign_keys)


@every_house("create", where=lambda r: r.resource.owner is not None and r in product.registrations.values())
def test_deleting_an_account_that_owns_rows_is_409(house: House) -> None:
    """The account stays, and so does the row."""
    accounts = house.world.house("users")
    owner: Row = house.world.client.get("/api/v1/users/me", headers=house.world.caller("owner")).json()
    row = house.make(house.world.caller("owner"), **({"vehicle_id": None} if "vehicle_id" in house.create else {}))
    problem(accounts.call("DELETE", f"/{owner['id']}"), 409, "still_referenced")
    assert accounts.stored(owner) == owner
    assert house.stored(row) == row
