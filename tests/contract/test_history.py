"""Each change of a row is told: what was done, when, by whom, and the row before and after (docs/contract.md §2)."""

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
from tests.contract.entity_client import House, Row
from tests.contract.problems import problem
from tests.contract.registrations import every_house
from tests.contract.test_conflicts import unique_columns
from tests.contract.test_owners import HIDDEN_VALUES, has_secrets, private, row_of_owner
from tests.contract.test_soft_delete import of
from tests.contract.test_verbs import absent_key
from tests.sample_entities.odd.registry import SICK

MEMBERS = {"id", "action", "at", "by", "before", "after"}


def told(house: House, row: Row) -> list[tuple[str, Row | None, Row | None]]:
    """What was done to a row, and the row before and after."""
    return [(entry["action"], entry["before"], entry["after"]) for entry in changes(house, row)]


def change_of(house: House, row: Row) -> Row:
    """A valid change of the first member that may change, one that need not be unique if there is one."""
    taken = {name for names in unique_columns(house.registration) for name in names}
    members = [name for name in house.update if name not in house.references]
    return house.change(row, min(members, key=lambda name: name in taken))


def stored_entries(house: House, row: Row) -> list[Row]:
    """The entries of a row as the table has them."""
    mine = sa.and_(entries.c.entity == house.plan.table.name, entries.c.row_id == str(row["id"]))
    with below(house) as connection:
        return [dict(found) for found in connection.execute(sa.select(entries).where(mine)).mappings()]


@every_house("create", "update", "put", "delete", where=has_history)
def test_every_change_is_told(house: House) -> None:
    """In order, each with the row before and after exactly as its answers showed it, by the caller, at its time."""
    begun = now()
    made = house.make()
    patched = house.call("PATCH", f"/{made['id']}", json=change_of(house, made)).json()
    put = house.call("PUT", f"/{made['id']}", json=change_of(house, patched)).json()
    expected = [("create", None, made), ("update", made, patched), ("update", patched, put)]
    assert told(house, made) == expected
    delete(house, made)
    expected.append(("delete", put, None))
    if house.plan.soft_delete:
        expected.append(("restore", None, restored(house, made)))
    assert told(house, made) == expected
    found = changes(house, made)
    assert all(set(entry) == MEMBERS for entry in found)
    assert {entry["by"] for entry in found} == {house.world.admin_id}
    assert [entry["id"] for entry in found] == sorted({entry["id"] for entry in found})
    times = [datetime.fromisoformat(entry["at"]) for entry in found]
    ended = now()
    assert [begun, *times, ended] == sorted([begun, *times, ended])


@every_house("create", "update", "delete", where=lambda r: has_history(r) and not of("stations")(r))
def test_every_element_of_a_batch_is_told(house: House) -> None:
    """As if it had come alone. A station has nothing to change but a unique value."""
    bodies = [house.body() for _ in range(3)]
    made = house.call("POST", "/batch", json=bodies).json()
    batch = [{"id": row["id"], **change_of(house, row)} for row in made]
    changed = house.call("PATCH", "/batch", json=batch[::-1]).json()[::-1]
    assert house.call("DELETE", "/batch", params={"ids": ",".join(str(row["id"]) for row in made)}).status_code == 204
    for before, after in zip(made, changed, strict=True):
        expected = [("create", None, before), ("update", before, after), ("delete", after, None)]
        assert told(house, before) == expected


@every_house("create", "update", where=has_history)
def test_an_update_to_the_same_is_told(house: House) -> None:
    """For `updated_at` changes."""
    row = house.make()
    member = next(name for name in house.update if name not in house.references)
    same = house.call("PATCH", f"/{row['id']}", json={member: row[member]})
    assert same.status_code == 200, same.text
    assert told(house, row)[1:] == [("update", row, same.json())]


@every_house("create", "update", "delete", where=has_history)
def test_what_is_refused_is_not_told(house: House) -> None:
    """A bad body, a stale version, another's row, an element of a batch that was fine itself."""
    row, other = house.make(), house.make()
    change = change_of(house, row)
    refused = [
        house.call("PATCH", f"/{row['id']}", json={"nope": 1}),
        house.call("PATCH", f"/{row['id']}", json=change, extra={"If-Match": '"0"'}),
        house.call("DELETE", f"/{row['id']}", extra={"If-Match": '"0"'}),
        house.call("PATCH", f"/{row['id']}", {}, json=change),
        house.call("PATCH", "/batch", json=[{"id": row["id"], **change}, {"id": absent_key(house), **change}]),
        house.call("DELETE", "/batch", params={"ids": f"{row['id']},{absent_key(house)}"}),
    ]
    assert all(400 <= answer.status_code < 500 for answer in refused)
    assert told(house, row) == [("create", None, row)]
    assert told(house, other) == [("create", None, other)]


@every_house("create", "update", where=of("seats", "charge-points"))
def test_a_change_that_the_database_refuses_is_not_told(house: House) -> None:
    """One that takes another's unique values."""
    row, other = house.make(), house.make()
    taken = {name: other[name] for name in ("code", "hall", "seat_number") if name in other}
    problem(house.call("PATCH", f"/{row['id']}", json=taken), 409, "duplicate")
    before = len(stored_entries(house, other))
    problem(house.call("POST", json=house.body(**taken)), 409, "duplicate")
    assert told(house, row) == [("create", None, row)]
    assert len(stored_entries(house, other)) == before


@every_house("create", where=of("vehicles"))
def test_a_replayed_creation_is_told_once(house: House) -> None:
    """As there is one row."""
    body, key = house.body(), {"Idempotency-Key": unique("history")}
    first, second = (house.call("POST", json=body, extra=key) for _ in range(2))
    assert (first.status_code, second.headers["Idempotent-Replayed"]) == (201, "true")
    assert told(house, first.json()) == [("create", None, second.json())]


@every_house("create", "update", where=has_history)
def test_an_entry_is_part_of_the_transaction(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it cannot be stored, nothing is."""
    row, made = house.make(), house.body()
    change, total = change_of(house, row), house.total()

    def fail(*_: Any) -> None:
        raise RuntimeError("the history is full")

    with monkeypatch.context() as patched:
        patched.setattr(History, "record", fail)
        for method, path, body in (
            ("POST", "", made),
            ("PATCH", f"/{row['id']}", change),
            ("DELETE", f"/{row['id']}", None),
        ):
            assert house.call(method, path, json=body).status_code == 500
    assert house.stored(row) == row
    assert house.total() == total
    assert told(house, row) == [("create", None, row)]


@every_house("create", "update", where=lambda r: has_history(r) and has_secrets(r))
def test_a_secret_is_in_no_entry(house: House) -> None:
    """Not in what is shown, nor in the table; nor is one that becomes secret later shown."""
    row = house.make()
    house.call("PATCH", f"/{row['id']}", json=change_of(house, row))
    delete(house, row)
    shown = house.call("GET", f"/{row['id']}/history").text
    table = repr(stored_entries(house, row))
    secrets = house.marked(Mark.SECRET)
    assert secrets
    for text in (shown, table):
        assert [name for name in secrets if f'"{name}"' in text or f"'{name}'" in text] == []
        assert [value for value in HIDDEN_VALUES if value in text] == []
    with below(house) as connection:
        mine = sa.and_(entries.c.entity == house.plan.table.name, entries.c.row_id == str(row["id"]))
        connection.execute(sa.update(entries).where(mine).values(after={"id": row["id"], **dict.fromkeys(secrets, 1)}))
    assert changes(house, row)[0]["after"] == {"id": row["id"]}


@every_house("create", "list", where=has_history)
def test_the_history_is_a_list_like_any(house: House) -> None:
    """Pages, cursors, sort and typed filters; another row's entries are never among them."""
    row, other = house.make(), house.make()
    for _ in range(4):
        row_now = house.stored(row)
        assert house.call("PATCH", f"/{row['id']}", json=change_of(house, row_now)).status_code == 200
    path = f"/{row['id']}/history"
    found = changes(house, row)
    assert len(found) == 5
    assert changes(house, row, None, sort="-id") == found[::-1]
    assert changes(house, row, None, action="create") == found[:1]
    assert changes(house, row, None, action__in="update,delete", skip=1, limit=2) == found[2:4]
    assert changes(house, row, None, at__gte=found[3]["at"]) == found[3:]
    assert changes(house, row, None, at__lt=found[0]["at"]) == []
    assert changes(house, row, None, by=house.world.admin_id, before__isnull=True) == found[:1]
    assert changes(house, row, None, by__isnull=True) == []
    assert changes(house, row, None, id=changes(house, other)[0]["id"]) == []
    page = house.call("GET", path, params={"size": 2, "sort": "-at"}).json()
    assert (page["total"], page["pages"], page["items"]) == (5, 3, found[:2:-1])
    walked = page["items"]
    foreign = house.call("GET", f"/{other['id']}/history", params={"cursor": page["next_cursor"]})
    assert problem(foreign, 422)["errors"][0]["type"] == "cursor_invalid"
    while page["next_cursor"]:
        page = house.call("GET", path, params={"cursor": page["next_cursor"]}).json()
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
        problem(house.call("GET", path, params=query), 422)


@every_house("create", where=lambda r: has_history(r) and not private(r))
def test_only_who_may_change_a_row_sees_who_did(house: House) -> None:
    """To others `by` is null, and no filter or sort tells it; also of a deleted row."""
    row = row_of_owner(house) if house.owner else house.make()
    makers = [house.world.admin, *([house.world.caller("owner")] if house.owner else [])]
    others = [house.world.caller("stranger")] + ([{}] if house.plan.read.anyone else [])
    sees = house.plan.write.roles is None and not house.owner  # any account may write
    for _ in range(2):
        for who in makers:
            assert all(entry["by"] for entry in changes(house, row, who))
            assert changes(house, row, who, sort="-by") == changes(house, row, who, sort="-by,id")
        for other in others:
            told = sees and bool(other)
            assert all((entry["by"] is not None) == told for entry in changes(house, row, other))
            for query in ({"by": 1}, {"by__isnull": "true"}, {"by__in": "1,2"}, {"sort": "by"}, {"sort": "id,-by"}):
                answer = house.call("GET", f"/{row['id']}/history", other, params=query)
                assert answer.status_code == (200 if told else 403 if other else 401)
        if house.call("GET", f"/{row['id']}").status_code == 200:
            delete(house, row)


@every_house("create", where=lambda r: has_history(r) and private(r))
def test_others_do_not_learn_of_a_private_row(house: House) -> None:
    """Nor of a deleted one: 404 as for a row that never was; its owner and administrators read on."""
    row = row_of_owner(house)
    stranger, owner = house.world.caller("stranger"), house.world.caller("owner")
    missing = problem(house.call("GET", f"/{absent_key(house)}/history", stranger), 404)["detail"]
    for count in (1, 2):
        answer = house.call("GET", f"/{row['id']}/history", stranger)
        assert problem(answer, 404)["detail"].replace(str(row["id"]), absent_key(house)) == missing
        problem(house.call("GET", f"/{row['id']}/history", {}), 401)
        for who in (owner, house.world.admin):
            assert len(changes(house, row, who)) == count
        if count == 1:
            delete(house, row)
    assert len(stored_entries(house, row)) == 2


@every_house("create", where=of("parcels"))
def test_who_sees_the_row_now_sees_its_history(house: House) -> None:
    """And of a deleted one, who saw it last."""
    row, user = house.make(status="public"), house.world.caller("stranger", "user")
    path = f"/{row['id']}/history"
    assert len(changes(house, row, user)) == 1
    house.call("PATCH", f"/{row['id']}", json={"status": "secret stock"})
    problem(house.call("GET", path, user), 404)
    delete(house, row)
    problem(house.call("GET", path, user), 404)
    restored(house, row)
    house.call("PATCH", f"/{row['id']}", json={"status": "sold"})
    with below(house) as connection:  # what is there decides, not what the last entry says
        connection.execute(
            sa.update(house.plan.table).values(status="hidden").where(house.plan.table.c.id == row["id"])
        )
    problem(house.call("GET", path, user), 404)
    house.call("PATCH", f"/{row['id']}", json={"status": "sold"})
    delete(house, row)
    assert len(changes(house, row, user)) == len(changes(house, row, {})) == 7


@every_house("create", where=of("branches"))
def test_a_scope_may_look_at_the_other_rows(house: House) -> None:
    """What grows from a sick branch stays hidden when it is deleted; what grows from another does not."""
    user = house.world.caller("stranger", "user")
    for name, seen in ((SICK, 404), ("sound", 200)):
        row = house.make(parent_id=house.make(name=name)["id"])
        assert house.call("GET", f"/{row['id']}", user).status_code == seen
        delete(house, row)
        assert house.call("GET", f"/{row['id']}/history", user).status_code == seen
        assert len(changes(house, row)) == 2


@every_house("create", where=both)
def test_a_row_that_was_taken_away_by_hand_is_known_by_its_last_entry(house: House) -> None:
    """One without any entry is not known at all; one that is there and has none has an empty history."""
    row, silent = house.make(), house.make()
    with below(house) as connection:
        connection.execute(sa.delete(entries).where(entries.c.row_id == str(silent["id"])))
    assert changes(house, silent) == []
    with below(house) as connection:
        table = house.plan.table
        connection.execute(sa.delete(table).where(table.c.id.in_([key_of(house, row), key_of(house, silent)])))
    assert told(house, row) == [("create", None, row)]
    problem(house.call("GET", f"/{silent['id']}/history"), 404, "not_found")
    problem(house.call("GET", "/x/history"), 422)


@every_house("list", where=lambda registration: not has_history(registration))
def test_there_is_no_history_without_the_word(house: House) -> None:
    """Nor is anything kept."""
    problem(house.call("GET", "/1/history"), 404)
    assert f"{house.path}/{{id}}/history" not in house.world.document["paths"]
    with below(house) as connection:
        mine = entries.c.entity == house.plan.table.name
        assert connection.execute(sa.select(sa.func.count()).where(mine)).scalar_one() == 0


@every_house(where=both)
def test_the_document_has_both_words(house: House) -> None:
    """Every status, the version of a restored row, and rows of the entity before and after."""
    paths, schemas = house.world.document["paths"], house.world.document["components"]["schemas"]
    restore, listing = paths[f"{house.path}/{{id}}/restore"]["post"], paths[f"{house.path}/{{id}}/history"]["get"]
    assert restore["operationId"].startswith("restore_")
    assert set(restore["responses"]) == {"200", "401", "403", "404", "409", "422", "503"}
    assert set(restore["responses"]["200"]["headers"]) == {"ETag", "X-Request-ID"}
    assert "requestBody" not in restore
    assert listing["operationId"] == restore["operationId"].replace("restore_", "list_") + "_history"
    assert set(listing["responses"]) == {"200", "401", "403", "404", "422", "503"}
    entry = schemas[f"{house.name}HistoryEntry"]
    assert set(entry["required"]) == set(entry["properties"]) == MEMBERS
    state = [{"$ref": f"#/components/schemas/{house.name}Public"}, {"type": "null"}]
    assert entry["properties"]["before"]["anyOf"] == entry["properties"]["after"]["anyOf"] == state
    written = json.dumps(listing["parameters"])
    assert '"at__gte"' in written
    assert "row_id" not in written
    for path, operation in ((f"{house.path}/{{id}}/restore", restore), (f"{house.path}/{{id}}/history", listing)):
        assert operation["parameters"][0]["name"] == "id", path
