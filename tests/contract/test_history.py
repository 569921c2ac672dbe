"""The history has each change of a row: what, when, by whom, and the row before and after (docs/contract.md §2)."""

import json
from datetime import datetime
from typing import Any

import pytest
import sqlalchemy as sa

from rowhouse.core.clock import now
from rowhouse.entities.model import Mark
from rowhouse.history.entries import History, entries
from tests.conftest import unique
from tests.contract.deleted_rows import below, both, changes, delete, has_history, key_of, restored
from tests.contract.entity_client import EntityClient, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_entity
from tests.contract.test_conflicts import unique_columns
from tests.contract.test_owners import HIDDEN_VALUES, has_secrets, private, row_of_owner
from tests.contract.test_soft_delete import of
from tests.contract.test_verbs import absent_key
from tests.sample_entities.odd.registry import SICK

MEMBERS = {"id", "action", "at", "by", "before", "after"}


def told(entity: EntityClient, row: Row) -> list[tuple[str, Row | None, Row | None]]:
    """Return the kind of a change, and the row before and after it."""
    return [(entry["action"], entry["before"], entry["after"]) for entry in changes(entity, row)]


def change_of(entity: EntityClient, row: Row) -> Row:
    """Return a valid change of the first member that may change, of one that need not be unique if possible."""
    taken = {name for names in unique_columns(entity.registration) for name in names}
    members = [name for name in entity.update if name not in entity.references]
    return entity.change(row, min(members, key=lambda name: name in taken))


def stored_entries(entity: EntityClient, row: Row) -> list[Row]:
    """Return the entries of a row as the table has them."""
    mine = sa.and_(entries.c.entity == entity.resource.table.name, entries.c.row_id == str(row["id"]))
    with below(entity) as connection:
        return [dict(found) for found in connection.execute(sa.select(entries).where(mine)).mappings()]


@every_entity("create", "update", "put", "delete", where=has_history)
def test_every_change_is_recorded(entity: EntityClient) -> None:
    """In order, with the caller, the time, and the row before and after as responses showed it."""
    begun = now()
    made = entity.make()
    patched = entity.call("PATCH", f"/{made['id']}", json=change_of(entity, made)).json()
    put = entity.call("PUT", f"/{made['id']}", json=change_of(entity, patched)).json()
    expected = [("create", None, made), ("update", made, patched), ("update", patched, put)]
    assert told(entity, made) == expected
    delete(entity, made)
    expected.append(("delete", put, None))
    if entity.resource.soft_delete:
        expected.append(("restore", None, restored(entity, made)))
    assert told(entity, made) == expected
    found = changes(entity, made)
    assert all(set(entry) == MEMBERS for entry in found)
    assert {entry["by"] for entry in found} == {entity.running_app.admin_id}
    assert [entry["id"] for entry in found] == sorted({entry["id"] for entry in found})
    times = [datetime.fromisoformat(entry["at"]) for entry in found]
    ended = now()
    assert [begun, *times, ended] == sorted([begun, *times, ended])


@every_entity("create", "update", "delete", where=lambda r: has_history(r) and not of("stations")(r))
def test_every_element_of_a_batch_is_recorded(entity: EntityClient) -> None:
    """As for single requests. A station has only a unique member to change."""
    bodies = [entity.body() for _ in range(3)]
    made = entity.call("POST", "/batch", json=bodies).json()
    batch = [{"id": row["id"], **change_of(entity, row)} for row in made]
    changed = entity.call("PATCH", "/batch", json=batch[::-1]).json()[::-1]
    assert entity.call("DELETE", "/batch", params={"ids": ",".join(str(row["id"]) for row in made)}).status_code == 204
    for before, after in zip(made, changed, strict=True):
        expected = [("create", None, before), ("update", before, after), ("delete", after, None)]
        assert told(entity, before) == expected


@every_entity("create", "update", where=has_history)
def test_an_update_to_the_same_values_is_recorded(entity: EntityClient) -> None:
    """`updated_at` changes."""
    row = entity.make()
    member = next(name for name in entity.update if name not in entity.references)
    same = entity.call("PATCH", f"/{row['id']}", json={member: row[member]})
    assert same.status_code == 200, same.text
    assert told(entity, row)[1:] == [("update", row, same.json())]


@every_entity("create", "update", "delete", where=has_history)
def test_a_rejected_change_is_not_recorded(entity: EntityClient) -> None:
    """An invalid body, a stale version, another account's row, and a valid element of a rejected batch."""
    row, other = entity.make(), entity.make()
    change = change_of(entity, row)
    refused = [
        entity.call("PATCH", f"/{row['id']}", json={"nope": 1}),
        entity.call("PATCH", f"/{row['id']}", json=change, extra={"If-Match": '"0"'}),
        entity.call("DELETE", f"/{row['id']}", extra={"If-Match": '"0"'}),
        entity.call("PATCH", f"/{row['id']}", {}, json=change),
        entity.call("PATCH", "/batch", json=[{"id": row["id"], **change}, {"id": absent_key(entity), **change}]),
        entity.call("DELETE", "/batch", params={"ids": f"{row['id']},{absent_key(entity)}"}),
    ]
    assert all(400 <= answer.status_code < 500 for answer in refused)
    assert told(entity, row) == [("create", None, row)]
    assert told(entity, other) == [("create", None, other)]


@every_entity("create", "update", where=of("seats", "charge-points"))
def test_a_change_that_the_database_rejects_is_not_recorded(entity: EntityClient) -> None:
    """Such as a duplicate value."""
    row, other = entity.make(), entity.make()
    taken = {name: other[name] for name in ("code", "hall", "seat_number") if name in other}
    problem(entity.call("PATCH", f"/{row['id']}", json=taken), 409, "duplicate")
    before = len(stored_entries(entity, other))
    problem(entity.call("POST", json=entity.body(**taken)), 409, "duplicate")
    assert told(entity, row) == [("create", None, row)]
    assert len(stored_entries(entity, other)) == before


@every_entity("create", where=of("vehicles"))
def test_a_replayed_creation_is_recorded_once(entity: EntityClient) -> None:
    """There is one row."""
    body, key = entity.body(), {"Idempotency-Key": unique("history")}
    first, second = (entity.call("POST", json=body, extra=key) for _ in range(2))
    assert (first.status_code, second.headers["Idempotent-Replayed"]) == (201, "true")
    assert told(entity, first.json()) == [("create", None, second.json())]


@every_entity("create", "update", where=has_history)
def test_an_entry_is_part_of_the_transaction(entity: EntityClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it cannot be stored, nothing is."""
    row, made = entity.make(), entity.body()
    change, total = change_of(entity, row), entity.total()

    def fail(*_: Any) -> None:
        raise RuntimeError("the history is full")

    with monkeypatch.context() as patched:
        patched.setattr(History, "record", fail)
        for method, path, body in (
            ("POST", "", made),
            ("PATCH", f"/{row['id']}", change),
            ("DELETE", f"/{row['id']}", None),
        ):
            assert entity.call(method, path, json=body).status_code == 500
    assert entity.stored(row) == row
    assert entity.total() == total
    assert told(entity, row) == [("create", None, row)]


@every_entity("create", "update", where=lambda r: has_history(r) and has_secrets(r))
def test_a_secret_is_in_no_entry(entity: EntityClient) -> None:
    """Neither in responses nor in the table. A column that becomes secret later is not shown either."""
    row = entity.make()
    entity.call("PATCH", f"/{row['id']}", json=change_of(entity, row))
    delete(entity, row)
    shown = entity.call("GET", f"/{row['id']}/history").text
    table = repr(stored_entries(entity, row))
    secrets = entity.marked(Mark.SECRET)
    assert secrets
    for text in (shown, table):
        assert [name for name in secrets if f'"{name}"' in text or f"'{name}'" in text] == []
        assert [value for value in HIDDEN_VALUES if value in text] == []
    with below(entity) as connection:
        mine = sa.and_(entries.c.entity == entity.resource.table.name, entries.c.row_id == str(row["id"]))
        connection.execute(sa.update(entries).where(mine).values(after={"id": row["id"], **dict.fromkeys(secrets, 1)}))
    assert changes(entity, row)[0]["after"] == {"id": row["id"]}


@every_entity("create", "list", where=has_history)
def test_the_history_is_a_list_like_any(entity: EntityClient) -> None:
    """Pages, cursors, sort and typed filters. It has only entries of this row."""
    row, other = entity.make(), entity.make()
    for _ in range(4):
        row_now = entity.stored(row)
        assert entity.call("PATCH", f"/{row['id']}", json=change_of(entity, row_now)).status_code == 200
    path = f"/{row['id']}/history"
    found = changes(entity, row)
    assert len(found) == 5
    assert changes(entity, row, None, sort="-id") == found[::-1]
    assert changes(entity, row, None, action="create") == found[:1]
    assert changes(entity, row, None, action__in="update,delete", skip=1, limit=2) == found[2:4]
    assert changes(entity, row, None, at__gte=found[3]["at"]) == found[3:]
    assert changes(entity, row, None, at__lt=found[0]["at"]) == []
    assert changes(entity, row, None, by=entity.running_app.admin_id, before__isnull=True) == found[:1]
    assert changes(entity, row, None, by__isnull=True) == []
    assert changes(entity, row, None, id=changes(entity, other)[0]["id"]) == []
    page = entity.call("GET", path, params={"size": 2, "sort": "-at"}).json()
    assert (page["total"], page["pages"], page["items"]) == (5, 3, found[:2:-1])
    walked = page["items"]
    foreign = entity.call("GET", f"/{other['id']}/history", params={"cursor": page["next_cursor"]})
    assert problem(foreign, 422)["errors"][0]["type"] == "cursor_invalid"
    while page["next_cursor"]:
        page = entity.call("GET", path, params={"cursor": page["next_cursor"]}).json()
        walked += page["items"]
    assert walked == found[::-1]
    for query in (
        {"nope": 1},
        {"entity": "books"},
        {"row_id": 1},
        {"size": 0},
        {"action": "erase"},
        {"sort": "before"},
    ):
        problem(entity.call("GET", path, params=query), 422)


@every_entity("create", where=lambda r: has_history(r) and not private(r))
def test_only_callers_who_may_change_a_row_see_who_changed_it(entity: EntityClient) -> None:
    """To others `by` is null, and no filter or sort reveals it. Also for a deleted row."""
    row = row_of_owner(entity) if entity.owner else entity.make()
    makers = [entity.running_app.admin, *([entity.running_app.caller("owner")] if entity.owner else [])]
    others = [entity.running_app.caller("stranger")] + ([{}] if entity.resource.read.anyone else [])
    sees = entity.resource.write.roles is None and not entity.owner  # any account may write
    for _ in range(2):
        for who in makers:
            assert all(entry["by"] for entry in changes(entity, row, who))
            assert changes(entity, row, who, sort="-by") == changes(entity, row, who, sort="-by,id")
        for other in others:
            told = sees and bool(other)
            assert all((entry["by"] is not None) == told for entry in changes(entity, row, other))
            joined = {"any": '[{"id": 0}, {"by": 1}]'}
            for query in (
                {"by": 1},
                {"by__isnull": "true"},
                {"by__in": "1,2"},
                {"sort": "by"},
                {"sort": "-by"},
                joined,
            ):
                answer = entity.call("GET", f"/{row['id']}/history", other, params=query)
                assert answer.status_code == (200 if told else 403 if other else 401)
        if entity.call("GET", f"/{row['id']}").status_code == 200:
            delete(entity, row)


@every_entity("create", where=lambda r: has_history(r) and private(r))
def test_others_do_not_learn_of_a_private_row(entity: EntityClient) -> None:
    """Deleted or not, it is 404 as if it had never existed. Its owner and administrators read its history."""
    row = row_of_owner(entity)
    stranger, owner = entity.running_app.caller("stranger"), entity.running_app.caller("owner")
    missing = problem(entity.call("GET", f"/{absent_key(entity)}/history", stranger), 404)["detail"]
    for count in (1, 2):
        answer = entity.call("GET", f"/{row['id']}/history", stranger)
        assert problem(answer, 404)["detail"].replace(str(row["id"]), absent_key(entity)) == missing
        problem(entity.call("GET", f"/{row['id']}/history", {}), 401)
        for who in (owner, entity.running_app.admin):
            assert len(changes(entity, row, who)) == count
        if count == 1:
            delete(entity, row)
    assert len(stored_entries(entity, row)) == 2


@every_entity("create", where=of("parcels"))
def test_who_sees_the_row_now_sees_its_history(entity: EntityClient) -> None:
    """For a deleted row, the callers who saw it last."""
    row, user = entity.make(status="public"), entity.running_app.caller("stranger", "user")
    path = f"/{row['id']}/history"
    assert len(changes(entity, row, user)) == 1
    entity.call("PATCH", f"/{row['id']}", json={"status": "secret stock"})
    problem(entity.call("GET", path, user), 404)
    delete(entity, row)
    problem(entity.call("GET", path, user), 404)
    restored(entity, row)
    entity.call("PATCH", f"/{row['id']}", json={"status": "sold"})
    with below(entity) as connection:  # what is there decides, not what the last entry says
        connection.execute(
            sa.update(entity.resource.table).values(status="hidden").where(entity.resource.table.c.id == row["id"])
        )
    problem(entity.call("GET", path, user), 404)
    entity.call("PATCH", f"/{row['id']}", json={"status": "sold"})
    delete(entity, row)
    assert len(changes(entity, row, user)) == len(changes(entity, row, {})) == 7


@every_entity("create", where=of("branches"))
def test_a_scope_may_look_at_the_other_rows(entity: EntityClient) -> None:
    """A deleted row is visible if the rows that it refers to make it so."""
    user = entity.running_app.caller("stranger", "user")
    for name, seen in ((SICK, 404), ("sound", 200)):
        row = entity.make(parent_id=entity.make(name=name)["id"])
        assert entity.call("GET", f"/{row['id']}", user).status_code == seen
        delete(entity, row)
        assert entity.call("GET", f"/{row['id']}/history", user).status_code == seen
        assert len(changes(entity, row)) == 2


@every_entity("create", where=both)
def test_a_row_that_was_taken_away_by_hand_is_known_by_its_last_entry(entity: EntityClient) -> None:
    """A row without any entry is unknown. A stored row without entries has an empty history."""
    row, silent = entity.make(), entity.make()
    with below(entity) as connection:
        connection.execute(sa.delete(entries).where(entries.c.row_id == str(silent["id"])))
    assert changes(entity, silent) == []
    with below(entity) as connection:
        table = entity.resource.table
        connection.execute(sa.delete(table).where(table.c.id.in_([key_of(entity, row), key_of(entity, silent)])))
    assert told(entity, row) == [("create", None, row)]
    problem(entity.call("GET", f"/{silent['id']}/history"), 404, "not_found")
    problem(entity.call("GET", "/x/history"), 422)


@every_entity("list", where=lambda registration: not has_history(registration))
def test_there_is_no_history_without_the_word(entity: EntityClient) -> None:
    """And nothing is recorded."""
    problem(entity.call("GET", "/1/history"), 404)
    assert f"{entity.path}/{{id}}/history" not in entity.running_app.document["paths"]
    with below(entity) as connection:
        mine = entries.c.entity == entity.resource.table.name
        assert connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one() == 0


@every_entity(where=both)
def test_the_document_has_both_words(entity: EntityClient) -> None:
    """Every status, the version of a restored row, and the schema of the rows before and after."""
    paths, schemas = entity.running_app.document["paths"], entity.running_app.document["components"]["schemas"]
    restore, listing = paths[f"{entity.path}/{{id}}/restore"]["post"], paths[f"{entity.path}/{{id}}/history"]["get"]
    assert restore["operationId"].startswith("restore_")
    unread = set() if entity.resource.read.includes(entity.resource.write) else {"204"}
    assert set(restore["responses"]) == {"200", "401", "403", "404", "409", "413", "422", "503", *unread}
    assert set(restore["responses"]["200"]["headers"]) == {"ETag", "X-Request-ID"}
    assert "requestBody" not in restore
    assert listing["operationId"] == restore["operationId"].replace("restore_", "list_") + "_history"
    assert set(listing["responses"]) == {"200", "401", "403", "404", "422", "503"}
    entry = schemas[f"{entity.name}HistoryEntry"]
    assert set(entry["required"]) == set(entry["properties"]) == MEMBERS
    state = [{"$ref": f"#/components/schemas/{entity.name}Public"}, {"type": "null"}]
    assert entry["properties"]["before"]["anyOf"] == entry["properties"]["after"]["anyOf"] == state
    written = json.dumps(listing["parameters"])
    assert '"at__gte"' in written
    assert "row_id" not in written
    for path, operation in ((f"{entity.path}/{{id}}/restore", restore), (f"{entity.path}/{{id}}/history", listing)):
        assert operation["parameters"][0]["name"] == "id", path
