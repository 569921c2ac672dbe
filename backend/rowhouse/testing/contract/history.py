"""Promises about recorded changes: deleted rows that can be restored, and the history."""

from typing import Any

from rowhouse.registration.registry import Registration
from rowhouse.testing.accounts import Headers
from rowhouse.testing.bodies.maker import Row
from rowhouse.testing.contract.access import hidden, readable_by_others
from rowhouse.testing.contract.choice import every_entity
from rowhouse.testing.contract.entity import EntityClient
from rowhouse.testing.contract.responses import problem
from rowhouse.testing.contract.verbs import changing


def soft_delete(registration: Registration) -> bool:
    """Return whether a deleted row can be restored."""
    return registration.resource.soft_delete


def history(registration: Registration) -> bool:
    """Return whether changes are recorded."""
    return registration.resource.history


def owned(registration: Registration) -> bool:
    """Return whether a deleted row can be restored by its owner, and by nobody else but administrators."""
    return soft_delete(registration) and (hidden(registration) or readable_by_others(registration))


def deleted(entity: EntityClient, headers: Headers, **query: Any) -> Row:
    """Return a page of the deleted rows."""
    answer = entity.call("GET", "/deleted", headers, params=query)
    assert answer.status_code == 200, f"GET {entity.path}/deleted {query} → {answer.status_code} {answer.text}"
    page: Row = answer.json()
    return page


class HistoryPromises:
    """Recorded changes and deletes."""

    @every_entity("get", where=soft_delete)
    def test_a_deleted_row_comes_back(self, contract_entity: EntityClient) -> None:
        """Whole, with the same key; a row that is there, or never was, cannot be restored."""
        entity, row = contract_entity, contract_entity.make()
        path = entity.row_path(row)
        assert entity.call("DELETE", path).status_code == 204
        problem(entity.call("GET", path), 404, "not_found")
        back = entity.shown(entity.call("POST", f"{path}/restore"))
        updated = entity.resource.updated
        assert back == ({**row, updated: back[updated]} if updated else row)
        assert entity.stored(row) == back
        assert entity.call("POST", f"{path}/restore").status_code in (404, 409)

    @every_entity("create", where=soft_delete)
    def test_deleted_rows_are_listed(self, contract_entity: EntityClient) -> None:
        """As they were, the last deleted first, by pages and cursors; not once they are restored."""
        entity = contract_entity
        rows = [entity.make() for _ in range(3)]
        for row in rows:
            assert entity.call("DELETE", entity.row_path(row)).status_code == 204
        page = deleted(entity, entity.writer, size=2)
        wanted = [{name: row[name] for name in entity.resource.schemas.public_names} for row in reversed(rows)]
        assert [{name: row[name] for name in wanted[0]} for row in page["items"]] == wanted[:2]
        assert all({"deleted_at", "deleted_by"} <= row.keys() for row in page["items"])
        (oldest,) = deleted(entity, entity.writer, cursor=page["next_cursor"], size=1)["items"]
        assert entity.key_of(oldest) == entity.key_of(rows[0])
        assert entity.call("POST", f"{entity.row_path(rows[2])}/restore").status_code == 200
        after = deleted(entity, entity.writer, size=1)
        assert (entity.keys_in(after["items"]), after["total"]) == ([entity.key_of(rows[1])], page["total"] - 1)
        (named,) = deleted(entity, entity.writer, id=entity.resource.key.text(entity.key_of(rows[0])))["items"]
        assert named == oldest

    @every_entity("create", where=owned)
    def test_a_deleted_row_of_somebody_else_is_not_listed(self, contract_entity: EntityClient) -> None:
        """Its owner and administrators see it."""
        entity = contract_entity
        owner, stranger = entity.member(entity.resource.write), entity.member(entity.resource.write)
        row = entity.make(owner)
        assert entity.call("DELETE", entity.row_path(row), owner).status_code == 204
        assert entity.keys_in(deleted(entity, owner)["items"]) == [entity.key_of(row)]
        found = deleted(entity, stranger)
        assert (found["items"], found["total"]) == ([], 0)

    @every_entity("create", where=history)
    def test_every_change_is_in_the_history(self, contract_entity: EntityClient) -> None:
        """One entry for each, with the row before and after it."""
        entity, row = contract_entity, contract_entity.make()
        path = entity.row_path(row)
        wanted: list[tuple[str, Row | None, Row]] = [("create", None, row)]
        for method in changing(entity) if entity.bodies.update else ():
            changed = entity.shown(entity.call(method, path, json=entity.plain_change(row)))
            wanted.append(("update", row, changed))
            row = changed
        entries = entity.call("GET", f"{path}/history").json()["items"]
        assert [(entry["action"], entry["before"], entry["after"]) for entry in entries] == wanted
