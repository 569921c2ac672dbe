"""`GET /deleted` lists what the caller may restore, the last deleted first (docs/contract.md §2)."""

from collections.abc import Mapping
from typing import Any

import pytest

from rowhouse.core.policy import role
from rowhouse.operations import deleted_list
from tests.contract.deleted_rows import delete, restorable, restored
from tests.contract.entity_client import EntityClient, Headers, Row
from tests.contract.problems import faulty_members, problem
from tests.contract.registrations import every_entity
from tests.contract.test_owners import open_to_readers, private, row_of_owner
from tests.contract.test_soft_delete import content, of


def page(entity: EntityClient, headers: Headers | None = None, /, **query: Any) -> Row:
    """Return a page of the deleted rows."""
    answer = entity.call("GET", "/deleted", entity.running_app.admin if headers is None else headers, params=query)
    assert answer.status_code == 200, answer.text
    found: Row = answer.json()
    return found


def keys(page: Mapping[str, Any]) -> list[Any]:
    """Return the keys on a page."""
    return [row["id"] for row in page["items"]]


@every_entity("create", where=restorable)
def test_deleted_rows_are_listed_as_they_were(entity: EntityClient) -> None:
    """The last deleted first, each once, with the instant and the account. A restored row is gone from the list."""
    rows = [entity.make() for _ in range(3)]
    for row in (*rows, rows[0]):
        if row is rows[0] and row["id"] in keys(page(entity, size=5)):
            restored(entity, row)
        row.update(entity.stored(row))
        delete(entity, row)
    found = page(entity, size=3)["items"]
    assert [row["id"] for row in found] == [row["id"] for row in (rows[0], rows[2], rows[1])]
    for row, shown in zip((rows[0], rows[2], rows[1]), found, strict=True):
        assert isinstance(shown.pop("deleted_by"), int)
        assert shown.pop("deleted_at").endswith("Z")
        assert shown == row
    restored(entity, rows[2])
    assert rows[2]["id"] not in keys(page(entity, size=5))


@every_entity("create", where=restorable)
def test_windows_and_cursors_hold_every_row_once(entity: EntityClient) -> None:
    """Also of a batch, whose rows were deleted at one instant. The total counts all of them."""
    rows = [entity.make() for _ in range(4)]
    ids = ",".join(str(row["id"]) for row in rows)
    assert entity.call("DELETE", "/batch", params={"ids": ids}).status_code == 204
    whole = page(entity, size=4)
    assert sorted(map(str, keys(whole))) == sorted(str(row["id"]) for row in rows)
    total = whole["total"]
    assert [keys(page(entity, size=2, page=number)) for number in (1, 2)] == [keys(whole)[:2], keys(whole)[2:]]
    behind = page(entity, skip=1, limit=2)
    assert (keys(behind), behind["total"]) == (keys(whole)[1:3], total)
    second = page(entity, cursor=page(entity, size=2)["next_cursor"])
    assert (keys(second), second["total"]) == (keys(whole)[2:], None)
    last = page(entity, skip=total)
    assert (last["items"], last["total"], last["next_cursor"]) == ([], total, None)


@every_entity("create", where=restorable)
def test_filters_are_the_key_and_the_instant(entity: EntityClient) -> None:
    """Everything else is refused, and so is a cursor of another list."""
    first, second = (delete(entity, entity.make()) for _ in range(2))
    (only,) = page(entity, id=first["id"])["items"]
    assert only["id"] == first["id"]
    at = only["deleted_at"]
    assert second["id"] not in keys(page(entity, deleted_at__lte=at))
    since = page(entity, deleted_at__gte=at)
    assert (keys(since), since["total"]) == ([second["id"], first["id"]], 2)
    assert keys(page(entity, deleted_at__gte=at, deleted_at__lte=at)) == [first["id"]]
    for name in ("sort", "fields", "expand", "search", "any", "deleted_by", "row_id", "id__in", "nope"):
        assert faulty_members(entity.call("GET", "/deleted", entity.running_app.admin, params={name: "id"})) == {name}
    for name, value in (("deleted_at__gte", "yesterday"), ("id", "\x00")):
        assert faulty_members(entity.call("GET", "/deleted", entity.running_app.admin, params={name: value})) == {name}
    entity.make()
    entity.make()
    if "list" in entity.registration.operations:
        other = entity.list(size=1)["next_cursor"]
        problem(entity.call("GET", "/deleted", entity.running_app.admin, params={"cursor": other}), 422)
    problem(entity.call("POST", "/deleted", json={}), 405)


@every_entity("create", where=lambda r: restorable(r) and (private(r) or open_to_readers(r)))
def test_an_owner_sees_their_own_and_an_administrator_all(entity: EntityClient) -> None:
    """Whoever deleted it. Nobody else learns of it, by any filter, total or cursor."""
    owner, stranger = entity.running_app.caller("owner"), entity.running_app.caller("stranger")
    rows = [row_of_owner(entity) for _ in range(3)]
    before = page(entity, owner)["total"], page(entity, stranger)
    assert entity.call("DELETE", f"/{rows[0]['id']}", owner).status_code == 204
    delete(entity, rows[1])
    delete(entity, rows[2])
    mine = page(entity, owner, size=3)
    assert (keys(mine), mine["total"]) == ([row["id"] for row in reversed(rows)], before[0] + 3)
    assert keys(page(entity, size=3)) == keys(mine)
    assert page(entity, stranger) == before[1]
    for row in rows:
        assert page(entity, stranger, id=row["id"])["total"] == 0
        assert keys(page(entity, owner, id=row["id"])) == [row["id"]]
    behind = page(entity, owner, size=1)["next_cursor"]
    assert set(keys(page(entity, stranger, cursor=behind))).isdisjoint(row["id"] for row in rows)
    problem(entity.call("GET", "/deleted", {}), 401)


@every_entity(where=restorable)
def test_the_list_is_for_who_may_write(entity: EntityClient) -> None:
    """Without an account 401; without the role 403, as for a restore."""
    if not entity.resource.write.anyone:
        problem(entity.call("GET", "/deleted", {}), 401)
    if entity.resource.write == role("admin"):
        problem(entity.call("GET", "/deleted", entity.running_app.caller("stranger")), 403, "permission_denied")


@every_entity("create", where=of("parcels"))
def test_a_rule_of_the_project_holds(entity: EntityClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each row that the rule is tested for; beyond a bound the request is refused, and names the way out."""
    stranger = entity.running_app.caller("stranger")
    hidden, *shown = (delete(entity, entity.make(status=status)) for status in ("hidden", "public", "public"))
    at = page(entity, id=hidden["id"])["items"][0]["deleted_at"]
    found = page(entity, stranger, deleted_at__gte=at)
    assert (keys(found), found["total"]) == ([row["id"] for row in reversed(shown)], 2)
    assert keys(page(entity, deleted_at__gte=at)) == [row["id"] for row in reversed([hidden, *shown])]
    first = page(entity, stranger, deleted_at__gte=at, size=1)
    assert keys(page(entity, stranger, cursor=first["next_cursor"])) == [shown[0]["id"]]
    monkeypatch.setattr(deleted_list, "MAX_TESTED", 2)
    refused = entity.call("GET", "/deleted", stranger, params={"deleted_at__gte": at})
    assert faulty_members(refused) == {"deleted_at__gte"}
    assert page(entity, stranger, id=shown[0]["id"])["total"] == 1


@every_entity("create", where=of("sealed"))
def test_secrets_and_what_does_not_fit_stay_hidden(entity: EntityClient) -> None:
    """A later column shows its default; a removed one and one whose type has changed are left out."""
    row = delete(entity, entity.make())
    (shown,) = page(entity, id=row["id"])["items"]
    assert shown.keys() == {*entity.public, "deleted_at", "deleted_by"}
    content(entity, row, state=..., former="x", pin="many")
    answer = entity.call("GET", "/deleted", params={"id": row["id"]})
    assert "hidden-api-key" not in answer.text
    (shown,) = answer.json()["items"]
    assert shown["state"] == "new"
    assert "former" not in shown
