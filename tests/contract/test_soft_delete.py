"""A deleted row is invisible to everyone, frees its unique values, and can be restored unchanged (docs/contract.md §2)."""

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
from tests.contract.entity_client import EntityClient, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_entity
from tests.contract.test_conflicts import refers, unique_columns
from tests.contract.test_owners import open_to_readers, private, row_of_owner
from tests.contract.test_verbs import absent_key


def unique_and_restorable(registration: Registration) -> bool:
    """Return True if another row may take a deleted row's unique values."""
    return restorable(registration) and bool(unique_columns(registration))


def refers_and_restorable(registration: Registration) -> bool:
    """Return True if the row that a deleted row refers to may be deleted."""
    return restorable(registration) and refers(registration)


def of(*paths: str) -> Any:
    """Return a condition: one of these entities."""
    return lambda registration: registration.resource.path in paths


def content(entity: EntityClient, row: Row, **changes: Any) -> None:
    """Change the archived row as a change of its class would. `...` removes a column."""
    is_row = sa.and_(deleted_rows.c.entity == entity.resource.table.name, deleted_rows.c.row_id == str(row["id"]))
    with below(entity) as connection:
        held = json.loads(connection.execute(sa.select(deleted_rows.c.content).where(is_row)).scalar_one())
        held = {name: value for name, value in {**held, **changes}.items() if value is not ...}
        connection.execute(sa.update(deleted_rows).where(is_row).values(content=json.dumps(held)))


def is_archived(entity: EntityClient, row: Row) -> bool:
    """Return True if the archive has the row."""
    mine = sa.and_(deleted_rows.c.entity == entity.resource.table.name, deleted_rows.c.row_id == str(row["id"]))
    with below(entity) as connection:
        return bool(connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one())


@every_entity("create", where=restorable)
def test_a_row_comes_back_as_it_was(entity: EntityClient) -> None:
    """Every column to the last digit, secrets and nulls too. Only `updated_at`, and so the version, is new."""
    for row in [entity.make() for _ in range(4)]:
        before = whole(entity, row)
        answer = restore(entity, delete(entity, row))
        assert answer.status_code == 200, answer.text
        after = whole(entity, row)
        assert {**after, "updated_at": None} == {**before, "updated_at": None}
        assert after["updated_at"] > before["updated_at"]
        stored = entity.call("GET", f"/{row['id']}")
        tag = answer.headers["ETag"]
        assert (answer.json(), tag) == (stored.json(), stored.headers.get("ETag", tag))  # notices are read by hand
        assert not is_archived(entity, row)


@every_entity("create", where=restorable)
def test_a_deleted_row_is_gone_from_everywhere(entity: EntityClient) -> None:
    """By its id, from the list and its total, for every verb and for batches. Other rows stay."""
    row, neighbour = delete(entity, entity.make()), entity.make()
    change = entity.change(neighbour, next(name for name in entity.update if name not in entity.references))
    for method, body in (("GET", None), ("PATCH", change), ("PUT", change), ("DELETE", None)):
        problem(entity.call(method, f"/{row['id']}", json=body), 404, "not_found")
    listed = entity.list(id__in=f"{row['id']},{neighbour['id']}")
    assert (listed["items"], listed["total"]) == ([neighbour], 1)
    batch = entity.call("PATCH", "/batch", json=[{"id": row["id"], **change}])
    gone = entity.call("DELETE", "/batch", params={"ids": f"{neighbour['id']},{row['id']}"})
    assert (batch.status_code, gone.status_code) == (404, 404)
    assert entity.stored(neighbour) == neighbour
    assert is_archived(entity, row)


@every_entity("create", where=restorable)
def test_only_a_deleted_row_is_restored_and_only_once(entity: EntityClient) -> None:
    """A stored row is 409, an unknown one 404. Neither changes anything, and no parameter is ignored."""
    row, other = entity.make(), entity.make()
    problem(restore(entity, row), 409, "not_deleted")
    problem(entity.call("POST", f"/{absent_key(entity)}/restore"), 404, "not_found")
    problem(entity.call("POST", "/x/restore"), 422)
    delete(entity, row)
    problem(entity.call("POST", f"/{row['id']}/restore", params={"force": 1}), 422)
    problem(entity.call("POST", f"/{row['id']}/restore", {}), 401)
    found = restored(entity, row)
    problem(restore(entity, row), 409, "not_deleted")
    assert (entity.stored(row), entity.stored(other)) == (found, other)


@every_entity("create", where=unique_and_restorable)
def test_a_deleted_row_frees_its_unique_values(entity: EntityClient) -> None:
    """While another row has them it cannot be restored. Afterwards it can."""
    for names in unique_columns(entity.registration):
        row = delete(entity, entity.make())
        other = entity.make(**{name: row[name] for name in names})
        told = problem(restore(entity, row), 409, "duplicate")
        assert told["detail"] == f"{entity.name} with this {' and '.join(names)} already exists"
        assert entity.stored(other) == other
        problem(entity.call("GET", f"/{row['id']}"), 404)
        delete(entity, other)
        assert restored(entity, row)["id"] == row["id"]


@every_entity("create", where=refers_and_restorable)
def test_a_row_comes_back_only_to_what_it_refers_to(entity: EntityClient) -> None:
    """No row may refer to a deleted one. A referenced row cannot be deleted."""
    for name, target in entity.references.items():
        target_house = entity.running_app.entity_of(target.table.name)
        other = target_house.make_plain()
        row = entity.make(**{name: other[target.name]})
        problem(target_house.call("DELETE", f"/{other['id']}"), 409, "still_referenced")
        assert not is_archived(target_house, other)
        delete(entity, row)
        delete(target_house, other)
        new = entity.call("POST", json=entity.body(**{name: other[target.name]}))
        for refused in (new, restore(entity, row)):
            assert problem(refused, 409, "reference_not_found")["detail"].startswith(f"{name}: ")
        assert is_archived(entity, row)
        if target_house.resource.soft_delete:
            restored(target_house, other)
            assert restored(entity, row)[name] == other[target.name]


@every_entity("create", where=lambda r: restorable(r) and private(r))
def test_others_do_not_learn_of_a_private_row(entity: EntityClient) -> None:
    """Deleted or not, it is 404 as if it had never existed. Its owner can restore it."""
    row, stranger = row_of_owner(entity), entity.running_app.caller("stranger")
    missing = entity.call("POST", f"/{absent_key(entity)}/restore", stranger).json()["detail"]
    for is_deleted in (False, True):
        if is_deleted:
            delete(entity, row)
        told = problem(restore(entity, row, stranger), 404, "not_found")
        assert told["detail"].replace(str(row["id"]), absent_key(entity)) == missing
    assert is_archived(entity, row)
    assert restore(entity, row, entity.running_app.caller("owner")).status_code == 200


@every_entity("create", where=lambda r: restorable(r) and open_to_readers(r))
def test_others_may_not_restore_what_they_could_read(entity: EntityClient) -> None:
    """403, deleted or not. Without an account it is 401."""
    row, stranger = row_of_owner(entity), entity.running_app.caller("stranger")
    problem(restore(entity, row, stranger), 403, "permission_denied")
    delete(entity, row)
    problem(restore(entity, row, stranger), 403, "permission_denied")
    problem(restore(entity, row, {}), 401)
    assert is_archived(entity, row)
    assert restore(entity, row, entity.running_app.caller("owner")).status_code == 200


@every_entity("create", where=of("parcels"))
def test_hooks_hold_when_a_row_comes_back(entity: EntityClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """`scope` hides a deleted row before any conflict, and `validate` rejects one that is invalid now.

    `prepare` is not called.
    """
    hidden, light = (entity.make(status=status, weight=10) for status in ("secret stock", "public"))
    for row in (hidden, light):
        delete(entity, row)
    problem(restore(entity, hidden, entity.running_app.caller("stranger")), 404, "not_found")
    monkeypatch.setattr("tests.sample_entities.odd.registry.HEAVIEST", 5)
    problem(restore(entity, hidden, entity.running_app.caller("stranger")), 404, "not_found")
    for row in (hidden, light):
        problem(restore(entity, row), 409, "too_heavy")
        assert is_archived(entity, row)
    monkeypatch.undo()
    content(entity, light, slug="as-it-was")
    assert restored(entity, light)["slug"] == "as-it-was"
    assert restore(entity, hidden, entity.running_app.caller("stranger")).status_code == 404
    assert restored(entity, hidden)["status"] == "secret stock"


@every_entity("create", where=of("periods"))
def test_the_rules_of_a_class_hold_when_a_row_comes_back(entity: EntityClient) -> None:
    """As at its creation."""
    row = delete(entity, entity.make(first_day="2030-01-01", last_day="2030-02-01"))
    content(entity, row, last_day="2029-01-01")
    told = problem(restore(entity, row), 422, "invalid_input")
    assert "last_day must not come before first_day" in told["errors"][0]["msg"]
    assert is_archived(entity, row)


@every_entity("create", where=of("sealed"))
def test_columns_come_and_go_while_a_row_is_deleted(entity: EntityClient) -> None:
    """A new column gets its default, a removed one is dropped.

    A value that does not fit any more is named, and the row stays deleted.
    """
    row = delete(entity, entity.make())
    content(entity, row, state=..., api_key=..., remark=..., former="x")
    assert (restored(entity, row)["state"], whole(entity, row)["api_key"]) == ("new", "hidden-api-key")
    delete(entity, row)
    content(entity, row, pin="many")
    told = problem(restore(entity, row), 409, "conflict")
    assert told["detail"] == "The values of pin do not fit Sealed any more."
    content(entity, row, pin=1, serial=...)
    problem(restore(entity, row), 409, "conflict")
    assert is_archived(entity, row)


@every_entity("create", where=restorable)
def test_a_batch_is_archived_whole_or_not_at_all(entity: EntityClient) -> None:
    """Each of its rows can be restored."""
    rows = [entity.make() for _ in range(3)]
    ids = ",".join(str(row["id"]) for row in rows)
    refused = entity.call("DELETE", "/batch", params={"ids": f"{ids},{absent_key(entity)}"})
    assert refused.status_code == 404
    assert [is_archived(entity, row) for row in rows] == [False] * 3
    assert entity.call("DELETE", "/batch", params={"ids": ids}).status_code == 204
    for row in rows:
        problem(entity.call("GET", f"/{row['id']}"), 404)
        assert {**restored(entity, row), "updated_at": row["updated_at"]} == row


@every_entity("create", where=of("books", "leaves"))
def test_what_is_tracked_a_batch_does_not_take_more_statements(
    entity: EntityClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """256 rows need as many statements as 8."""
    counted = []
    name = entity.required[0]
    full = entity.body()
    for count in (8, 256):
        with counting(monkeypatch) as seen:
            bodies = [{**full, name: entity.body(category_id=1)[name]} for _ in range(count)]
            rows = entity.call("POST", "/batch", json=bodies).json()
            entity.call("PATCH", "/batch", json=[{"id": row["id"], name: f"{row[name]}!"} for row in rows])
            for part in (rows[:half] for half in (len(rows) // 2, len(rows) // 2)):
                ids = ",".join(str(row["id"]) for row in part)
                rows = rows[len(part) :]
                assert entity.call("DELETE", "/batch", params={"ids": ids}).status_code == 204
        counted.append(len(seen))
    assert counted[0] == counted[1]


@every_entity("create", where=of("leaves", "diaries"))
def test_of_many_restores_at_once_one_succeeds(entity: EntityClient) -> None:
    """The others get 409."""
    row = delete(entity, entity.make())
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: restore(entity, row), range(8)))
    told = Counter((answer.status_code, answer.json().get("code")) for answer in answers)
    assert told == {(200, None): 1, (409, "not_deleted"): 7}
    assert not is_archived(entity, row)


@every_entity("create", where=of("leaves", "diaries"))
def test_deletes_and_restores_at_once_leave_one_row(entity: EntityClient) -> None:
    """In any order, each response fits the state, and the row is either in its table or in the archive."""
    row = entity.make()

    def toggle(number: int) -> int:
        if number % 2:
            return restore(entity, row).status_code
        return entity.call("DELETE", f"/{row['id']}").status_code

    with ThreadPoolExecutor(8) as pool:
        told = Counter(pool.map(toggle, range(40)))
    assert set(told) <= {200, 204, 404, 409}
    is_there = entity.call("GET", f"/{row['id']}").status_code == 200
    assert is_archived(entity, row) is not is_there
    assert told[204] - told[200] == (0 if is_there else 1)


@every_entity("create", where=of("notices"))
def test_a_row_that_comes_back_during_a_refusal_was_missing(entity: EntityClient) -> None:
    """404 for callers who may change it, because it was missing at that time. Others get 403."""
    row, app = entity.make(), entity.running_app.client.app
    assert isinstance(app, FastAPI)
    database = app.state.database
    crud = entity.registration.crud(entity.resource, database.dialect)
    with UnitOfWork(database, write=True) as unit:
        for caller_id, status in ((row["author_id"], 404), (row["author_id"] + 1, 403)):
            unit.caller = Caller(id=caller_id, role="user")
            assert crud.refusal(unit, row["id"]).status == status
    database.discard_connection()


@every_entity("create", where=of("leaves"))
def test_a_row_that_goes_during_the_first_look_is_found_by_the_second(
    entity: EntityClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when another transaction deletes it at that moment."""
    row, looks = delete(entity, entity.make()), []
    find = DeletedRows.find

    def late(self: DeletedRows, *arguments: Any) -> Any:
        looks.append(1)
        return find(self, *arguments) if len(looks) > 1 else None

    monkeypatch.setattr(DeletedRows, "find", late)
    assert restore(entity, row).status_code == 200
    assert len(looks) == 2


@every_entity("create", where=of("leaves"))
def test_a_row_that_was_put_back_by_hand_is_archived_anew(entity: EntityClient) -> None:
    """It replaces the earlier archived row."""
    row = entity.make(name="old")
    table = entity.resource.table
    stored = whole(entity, row)
    delete(entity, row)
    with below(entity) as connection:
        connection.execute(sa.insert(table).values({**stored, "name": "new"}))
    problem(restore(entity, row), 409, "duplicate")
    delete(entity, row)
    assert restored(entity, row)["name"] == "new"


@every_entity(where=lambda registration: not restorable(registration))
def test_there_is_no_restore_without_the_word(entity: EntityClient) -> None:
    """And nothing is archived."""
    problem(entity.call("POST", "/1/restore"), 404)
    assert f"{entity.path}/{{id}}/restore" not in entity.running_app.document["paths"]
    with below(entity) as connection:
        mine = deleted_rows.c.entity == entity.resource.table.name
        assert connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one() == 0


@every_entity("create", where=both)
def test_what_is_kept_is_part_of_the_transaction(entity: EntityClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """If the archive fails, the row stays."""
    row = entity.make()

    def fail(*_: Any) -> None:
        raise RuntimeError("the archive is full")

    with monkeypatch.context() as patched:
        patched.setattr(DeletedRows, "put", fail)
        assert entity.call("DELETE", f"/{row['id']}").status_code == 500
    assert entity.stored(row) == row
