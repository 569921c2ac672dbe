"""Promises about many rows at once: batches and imports store all rows or none."""

import json
from typing import Any

from rowhouse.testing.bodies.maker import Row
from rowhouse.testing.contract.choice import every_entity
from rowhouse.testing.contract.entity import EntityClient
from rowhouse.testing.contract.responses import problem
from rowhouse.testing.contract.verbs import changeable

NDJSON = {"Content-Type": "application/x-ndjson"}


def total(entity: EntityClient) -> int:
    """Return how many rows there are; 0 if they cannot be listed."""
    return int(entity.listed({"size": 1})["total"]) if entity.has("list") else 0


def require(entity: EntityClient, answer: Any, request: str, body: object, status: int) -> None:
    """Require that derived bodies were accepted."""
    shown = f"{answer.status_code} {answer.text}"
    assert answer.status_code == status, entity.running.factory.refusal(entity.resource, request, body, shown)


class ManyRowPromises:
    """Many rows written."""

    @every_entity("create")
    def test_a_batch_creates_all_or_none(self, contract_entity: EntityClient) -> None:
        """The response lists the rows in order; an error names the element."""
        entity = contract_entity
        bodies = [entity.body() for _ in range(3)]
        answer = entity.call("POST", "/batch", json=bodies)
        require(entity, answer, "POST /batch", bodies, 201)
        for row in answer.json():
            entity.check_row(row)
        assert len(answer.json()) == len(bodies)
        before = total(entity)
        faulty = [entity.body(), {**entity.body(), "no_such_member": 1}]
        found = problem(entity.call("POST", "/batch", json=faulty), 422)
        assert found["errors"][0]["loc"] == ["body", 1, "no_such_member"]
        problem(entity.call("POST", "/batch", json=[]), 422)
        assert total(entity) == before

    @every_entity("update", where=changeable)
    def test_a_batch_changes_all_or_none(self, contract_entity: EntityClient) -> None:
        """A row that does not exist undoes the change of the others."""
        entity, rows = contract_entity, contract_entity.rows(2)
        changes: list[Row] = [{**entity.named(row), **entity.plain_change(row)} for row in rows]
        answer = entity.call("PATCH", "/batch", json=changes)
        require(entity, answer, "PATCH /batch", changes, 200)
        changed = answer.json()
        again = {**entity.named(changed[0]), **entity.plain_change(changed[0])}
        problem(entity.call("PATCH", "/batch", json=[again, {**again, "no_such_member": 1}]), 422)
        assert entity.has("get") is False or entity.stored(changed[0]) == changed[0]

    @every_entity("delete", "get")
    def test_a_batch_deletes_all_or_none(self, contract_entity: EntityClient) -> None:
        """One key that no row has keeps the others."""
        entity, rows = contract_entity, contract_entity.rows(2)
        assert entity.call("DELETE", "/batch", params={"ids": entity.ids(rows)}).status_code == 204
        for row in rows:
            problem(entity.call("GET", entity.row_path(row)), 404, "not_found")
        left = entity.make()
        problem(entity.call("DELETE", "/batch", params={"ids": entity.ids([left, rows[0]])}), 404, "not_found")
        assert entity.stored(left) == left

    @every_entity("create")
    def test_an_import_stores_all_or_none(self, contract_entity: EntityClient) -> None:
        """Row by row from NDJSON; the error lists the faulty rows."""
        entity = contract_entity
        bodies = [entity.body() for _ in range(2)]
        answer = entity.call("POST", "/import", content=lines(bodies), extra=NDJSON)
        require(entity, answer, "POST /import", bodies, 201)
        assert answer.json() == {"created": len(bodies)}
        before = total(entity)
        faulty = [entity.body(), {**entity.body(), "no_such_member": 1}]
        problem(entity.call("POST", "/import", content=lines(faulty), extra=NDJSON), 422)
        assert total(entity) == before


def lines(rows: list[Row]) -> bytes:
    """Return rows as NDJSON."""
    return "".join(f"{json.dumps(row)}\n" for row in rows).encode()
