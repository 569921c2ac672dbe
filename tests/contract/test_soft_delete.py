"""A deleted row is gone for everyone, frees what it held, and comes back whole (docs/contract.md §2)."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from rowhouse.core.security import Caller
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.history.deleted_rows import DeletedRows, deleted_rows
from rowhouse.registration.registry import Registration
from tests.contract.deleted_rows import below, both, counting, delete, restorable, restore, restored, whole
from tests.contract.entity_client import House, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_house
from tests.contract.test_conflicts import refers, unique_columns
from tests.contract.test_owners import open_to_readers, private, row_of_owner
from tests.contract.test_verbs import absent_key


def unique_and_restorable(registration: Registration) -> bool:
    """Whether a deleted row's values may be taken by another."""
    return restorable(registration) and bool(unique_columns(registration))


def refers_and_restorable(registration: Registration) -> bool:
    """Whether what a deleted row refers to may be gone."""
    return restorable(registration) and refers(registration)


def of(*paths: str) -> Any:
    """A condition: one of these entities."""
    return lambda registration: registration.resource.path in paths


def content(house: House, row: Row, **changes: Any) -> None:
    """Change what the archive holds of a row, as a change of its class would have it; `...` takes a column away."""
    is_row = sa.and_(deleted_rows.c.entity == house.plan.table.name, deleted_rows.c.row_id == str(row["id"]))
    with below(house) as connection:
        held = json.loads(connection.execute(sa.select(deleted_rows.c.content).where(is_row)).scalar_one())
        held = {name: value for name, value in {**held, **changes}.items() if value is not ...}
        connection.execute(sa.update(deleted_rows).where(is_row).values(content=json.dumps(held)))


def is_archived(house: House, row: Row) -> bool:
    """Whether the archive has the row."""
    mine = sa.and_(deleted_rows.c.entity == house.plan.table.name, deleted_rows.c.row_id == str(row["id"]))
    with below(house) as connection:
        return bool(connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one())


@every_house("create", where=restorable)
def test_a_row_comes_back_as_it_was(house: House) -> None:
    """Every column to the last digit, secrets and nulls too; only `updated_at`, and with it the version, is new."""
    for row in [house.make() for _ in range(4)]:
        before = whole(house, row)
        answer = restore(house, delete(house, row))
        assert answer.status_code == 200, answer.text
        after = whole(house, row)
        assert {**after, "updated_at": None} == {**before, "updated_at": None}
        assert after["updated_at"] > before["updated_at"]
        stored = house.call("GET", f"/{row['id']}")
        tag = answer.headers["ETag"]
        assert (answer.json(), tag) == (stored.json(), stored.headers.get("ETag", tag))  # notices are read by hand
        assert not is_archived(house, row)


@every_house("create", where=restorable)
def test_a_deleted_row_is_gone_from_everywhere(house: House) -> None:
    """By its id, from the list and its total, for every verb and for batches; its neighbour stays."""
    row, neighbour = delete(house, house.make()), house.make()
    change = house.change(neighbour, next(name for name in house.update if name not in house.references))
    for method, body in (("GET", None), ("PATCH", change), ("PUT", change), ("DELETE", None)):
        problem(house.call(method, f"/{row['id']}", json=body), 404, "not_found")
    listed = house.list(id__in=f"{row['id']},{neighbour['id']}")
    assert (listed["items"], listed["total"]) == ([neighbour], 1)
    batch = house.call("PATCH", "/batch", json=[{"id": row["id"], **change}])
    gone = house.call("DELETE", "/batch", params={"ids": f"{neighbour['id']},{row['id']}"})
    assert (batch.status_code, gone.status_code) == (404, 404)
    assert house.stored(neighbour) == neighbour
    assert is_archived(house, row)


@every_house("create", where=restorable)
def test_only_a_deleted_row_is_restored_and_only_once(house: House) -> None:
    """What is there is 409, what never was 404; neither changes anything, and no parameter is ignored."""
    row, other = house.make(), house.make()
    problem(restore(house, row), 409, "not_deleted")
    problem(house.call("POST", f"/{absent_key(house)}/restore"), 404, "not_found")
    problem(house.call("POST", "/x/restore"), 422)
    delete(house, row)
    problem(house.call("POST", f"/{row['id']}/restore", params={"force": 1}), 422)
    problem(house.call("POST", f"/{row['id']}/restore", {}), 401)
    found = restored(house, row)
    problem(restore(house, row), 409, "not_deleted")
    assert (house.stored(row), house.stored(other)) == (found, other)


@every_house("create", where=unique_and_restorable)
def test_a_deleted_row_frees_its_unique_values(house: House) -> None:
    """While another has them it cannot come back; then it can."""
    for names in unique_columns(house.registration):
        row = delete(house, house.make())
        other = house.make(**{name: row[name] for name in names})
        told = problem(restore(house, row), 409, "duplicate")
        assert told["detail"] == f"{house.name} with this {' and '.join(names)} already exists"
        assert house.stored(other) == other
        problem(house.call("GET", f"/{row['id']}"), 404)
        delete(house, other)
        assert restored(house, row)["id"] == row["id"]


@every_house("create", where=refers_and_restorable)
def test_a_row_comes_back_only_to_what_it_refers_to(house: House) -> None:
    """Nothing may refer to a deleted row; one that is referred to is not deleted."""
    for name, target in house.references.items():
        target_house = house.world.house_of(target.table.name)
        other = target_house.make_plain()
        row = house.make(**{name: other[target.name]})
        problem(target_house.call("DELETE", f"/{other['id']}"), 409, "still_referenced")
        assert not is_archived(target_house, other)
        delete(house, row)
        delete(target_house, other)
        new = house.call("POST", json=house.body(**{name: other[target.name]}))
        for refused in (new, restore(house, row)):
            assert problem(refused, 409, "reference_not_found")["detail"].startswith(f"{name}: ")
        assert is_archived(house, row)
        if target_house.plan.soft_delete:
            restored(target_house, other)
            assert restored(house, row)[name] == other[target.name]


@every_house("create", where=lambda r: restorable(r) and private(r))
def test_others_do_not_learn_of_a_private_row(house: House) -> None:
    """404 as if it had never been, deleted or not; its owner has it back."""
    row, stranger = row_of_owner(house), house.world.caller("stranger")
    missing = house.call("POST", f"/{absent_key(house)}/restore", stranger).json()["detail"]
    for is_deleted in (False, True):
        if is_deleted:
            delete(house, row)
        told = problem(restore(house, row, stranger), 404, "not_found")
        assert told["detail"].replace(str(row["id"]), absent_key(house)) == missing
    assert is_archived(house, row)
    assert restore(house, row, house.world.caller("owner")).status_code == 200


@every_house("create", where=lambda r: restorable(r) and open_to_readers(r))
def test_others_may_not_restore_what_they_could_read(house: House) -> None:
    """403, deleted or not; 401 for nobody."""
    row, stranger = row_of_owner(house), house.world.caller("stranger")
    problem(restore(house, row, stranger), 403, "permission_denied")
    delete(house, row)
    problem(restore(house, row, stranger), 403, "permission_denied")
    problem(restore(house, row, {}), 401)
    assert is_archived(house, row)
    assert restore(house, row, house.world.caller("owner")).status_code == 200


@every_house("create", where=of("parcels"))
def test_hooks_hold_when_a_row_comes_back(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """`scope` hides a deleted row too, before any conflict; `validate` refuses what has become wrong; `prepare` is not asked."""
    hidden, light = (house.make(status=status, weight=10) for status in ("secret stock", "public"))
    for row in (hidden, light):
        delete(house, row)
    problem(restore(house, hidden, house.world.caller("stranger")), 404, "not_found")
    monkeypatch.setattr("tests.sample_entities.odd.registry.HEAVIEST", 5)
    problem(restore(house, hidden, house.world.caller("stranger")), 404, "not_found")
    for row in (hidden, light):
        problem(restore(house, row), 409, "too_heavy")
        assert is_archived(house, row)
    monkeypatch.undo()
    content(house, light, slug="as-it-was")
    assert restored(house, light)["slug"] == "as-it-was"
    assert restore(house, hidden, house.world.caller("stranger")).status_code == 404
    assert restored(house, hidden)["status"] == "secret stock"


@every_house("create", where=of("periods"))
def test_the_rules_of_a_class_hold_when_a_row_comes_back(house: House) -> None:
    """As when it was made."""
    row = delete(house, house.make(first_day="2030-01-01", last_day="2030-02-01"))
    content(house, row, last_day="2029-01-01")
    told = problem(restore(house, row), 422, "invalid_input")
    assert "last_day must not come before first_day" in told["errors"][0]["msg"]
    assert is_archived(house, row)


@every_house("create", where=of("sealed"))
def test_columns_come_and_go_while_a_row_is_deleted(house: House) -> None:
    """A new one gets its default, one that is gone is dropped; a value that fits no more is named and the row stays."""
    row = delete(house, house.make())
    content(house, row, state=..., api_key=..., remark=..., former="x")
    assert (restored(house, row)["state"], whole(house, row)["api_key"]) == ("new", "hidden-api-key")
    delete(house, row)
    content(house, row, pin="many")
    told = problem(restore(house, row), 409, "conflict")
    assert told["detail"] == "The values of pin do not fit Sealed any more."
    content(house, row, pin=1, serial=...)
    problem(restore(house, row), 409, "conflict")
    assert is_archived(house, row)


@every_house("create", where=restorable)
def test_a_batch_is_archived_whole_or_not_at_all(house: House) -> None:
    """Each row of it comes back by itself."""
    rows = [house.make() for _ in range(3)]
    ids = ",".join(str(row["id"]) for row in rows)
    refused = house.call("DELETE", "/batch", params={"ids": f"{ids},{absent_key(house)}"})
    assert refused.status_code == 404
    assert [is_archived(house, row) for row in rows] == [False] * 3
    assert house.call("DELETE", "/batch", params={"ids": ids}).status_code == 204
    for row in rows:
        problem(house.call("GET", f"/{row['id']}"), 404)
        assert {**restored(house, row), "updated_at": row["updated_at"]} == row


@every_house("create", where=of("books", "leaves"))
def test_what_is_tracked_a_batch_does_not_take_more_statements(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """256 rows are made, changed and deleted in as many as 8."""
    counted = []
    name = house.required[0]
    full = house.body()
    for count in (8, 256):
        with counting(monkeypatch) as seen:
            bodies = [{**full, name: house.body(category_id=1)[name]} for _ in range(count)]
            rows = house.call("POST", "/batch", json=bodies).json()
            house.call("PATCH", "/batch", json=[{"id": row["id"], name: f"{row[name]}!"} for row in rows])
            for part in (rows[:half] for half in (len(rows) // 2, len(rows) // 2)):
                ids = ",".join(str(row["id"]) for row in part)
                rows = rows[len(part) :]
                assert house.call("DELETE", "/batch", params={"ids": ids}).status_code == 204
        counted.append(len(seen))
    assert counted[0] == counted[1]


@every_house("create", where=of("leaves", "diaries"))
def test_of_many_restores_at_once_one_succeeds(house: House) -> None:
    """The others find the row there."""
    row = delete(house, house.make())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: restore(house, row), range(8)))
    told = Counter((answer.status_code, answer.json().get("code")) for answer in answers)
    assert told == {(200, None): 1, (409, "not_deleted"): 7}
    assert not is_archived(house, row)


@every_house("create", where=of("leaves", "diaries"))
def test_deletes_and_restores_at_once_leave_one_row(house: House) -> None:
    """Whatever the order, each is told how it found the row, and the row is in its table or in the archive."""
    row = house.make()

    def toggle(number: int) -> int:
        if number % 2:
            return restore(house, row).status_code
        return house.call("DELETE", f"/{row['id']}").status_code

    with ThreadPoolExecutor(8) as pool:
        told = Counter(pool.map(toggle, range(40)))
    assert set(told) <= {200, 204, 404, 409}
    is_there = house.call("GET", f"/{row['id']}").status_code == 200
    assert is_archived(house, row) is not is_there
    assert told[204] - told[200] == (0 if is_there else 1)


@every_house("create", where=of("notices"))
def test_a_row_that_comes_back_during_a_refusal_was_missing(house: House) -> None:
    """404 to whoever may change it, for when it was asked for it was not there; others are told that it is not theirs."""
    row, app = house.make(), house.world.client.app
    assert isinstance(app, FastAPI)
    database = app.state.database
    crud = house.registration.crud(house.plan, database.dialect)
    with UnitOfWork(database, write=True) as unit:
        for caller_id, status in ((row["author_id"], 404), (row["author_id"] + 1, 403)):
            unit.caller = Caller(id=caller_id, role="user")
            assert crud.refusal(unit, row["id"]).status == status
    database.discard_connection()


@every_house("create", where=of("leaves"))
def test_a_row_that_goes_during_the_first_look_is_found_by_the_second(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another transaction deletes it just then."""
    row, looks = delete(house, house.make()), []
    find = DeletedRows.find

    def late(self: DeletedRows, *arguments: Any) -> Any:
        looks.append(1)
        return find(self, *arguments) if len(looks) > 1 else None

    monkeypatch.setattr(DeletedRows, "find", late)
    assert restore(house, row).status_code == 200
    assert len(looks) == 2


@every_house("create", where=of("leaves"))
def test_a_row_that_was_put_back_by_hand_is_archived_anew(house: House) -> None:
    """The archive's earlier copy gives way."""
    row = house.make(name="old")
    table = house.plan.table
    stored = whole(house, row)
    delete(house, row)
    with below(house) as connection:
        connection.execute(sa.insert(table).values({**stored, "name": "new"}))
    problem(restore(house, row), 409, "duplicate")
    delete(house, row)
    assert restored(house, row)["name"] == "new"


@every_house(where=lambda registration: not restorable(registration))
def test_there_is_no_restore_without_the_word(house: House) -> None:
    """Nor is anything kept."""
    problem(house.call("POST", "/1/restore"), 404)
    assert f"{house.path}/{{id}}/restore" not in house.world.document["paths"]
    with below(house) as connection:
        mine = deleted_rows.c.entity == house.plan.table.name
        assert connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one() == 0


@every_house("create", where=both)
def test_what_is_kept_is_part_of_the_transaction(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the archive fails, the row stays."""
    row = house.make()

    def fail(*_: Any) -> None:
        raise RuntimeError("the archive is full")

    with monkeypatch.context() as patched:
        patched.setattr(DeletedRows, "put", fail)
        assert house.call("DELETE", f"/{row['id']}").status_code == 500
    assert house.stored(row) == row
