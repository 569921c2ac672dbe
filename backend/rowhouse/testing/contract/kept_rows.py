"""Promises about what is kept of rows: deleted rows that come back, and the history of changes."""

from rowhouse.registration.registry import Registration
from rowhouse.testing.bodies.maker import Row
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


class KeptRowPromises:
    """What is kept of rows that change or go."""

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
