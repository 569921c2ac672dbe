"""A reference to an invisible row is rejected like one to a missing row. Rows deleted together may refer to each other."""

from itertools import permutations
from typing import Any

import pytest
import sqlalchemy as sa

from tests.conftest import sign_up
from tests.contract.deleted_rows import below, delete, restored
from tests.contract.entity_client import EntityClient, RunningApp
from tests.contract.problems import problem


@pytest.fixture
def exhibits(odd_app: RunningApp) -> EntityClient:
    """Private rows that refer to each other."""
    return odd_app.entity("exhibits")


def test_a_change_that_refers_out_of_sight_is_refused(exhibits: EntityClient) -> None:
    """409 for a row of one's own, alone and in a batch, as for a missing row. Another account's row stays 404."""
    theirs, stranger = exhibits.make(exhibits.running_app.caller("owner")), sign_up(exhibits.running_app.client)
    own, other = exhibits.make(stranger), exhibits.make(stranger)
    for twin in (theirs["id"], 2_000_000_000):
        body = {"twin_id": twin}
        problem(exhibits.call("PATCH", f"/{own['id']}", stranger, json=body), 409, "reference_not_found")
        problem(exhibits.call("PATCH", f"/{theirs['id']}", stranger, json=body), 404, "not_found")
        batch: list[Any] = [{"id": other["id"], "rank": 5}, {"id": own["id"], **body}]
        answer = exhibits.call("PATCH", "/batch", stranger, json=batch)
        assert (answer.status_code, answer.json()["code"]) == (409, "reference_not_found")
        assert answer.json()["errors"][0]["loc"] == ["body", 1]
    assert [exhibits.stored(row) for row in (own, other, theirs)] == [own, other, theirs]
    assert exhibits.call("PATCH", f"/{own['id']}", stranger, json={"twin_id": other["id"]}).status_code == 200


def test_a_row_does_not_come_back_to_what_has_gone_out_of_sight(exhibits: EntityClient) -> None:
    """409, as for a missing row. An administrator, who sees it, can restore the row."""
    owner = sign_up(exhibits.running_app.client)
    other, table = exhibits.make(owner), exhibits.resource.table
    row = delete(exhibits, exhibits.make(owner, twin_id=other["id"]))
    with below(exhibits) as connection:
        taken = sa.update(table).where(table.c.id == other["id"])
        connection.execute(taken.values(owner_id=exhibits.running_app.admin_id))
    refused = exhibits.call("POST", f"/{row['id']}/restore", owner)
    assert problem(refused, 409, "reference_not_found")["detail"].startswith("twin_id: ")
    problem(exhibits.call("GET", f"/{row['id']}"), 404)
    assert restored(exhibits, row)["twin_id"] == other["id"]


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
def test_rows_that_refer_to_each_other_go_together(exhibits: EntityClient, order: tuple[int, ...]) -> None:
    """In any order. If another row refers to one of them, it is named, and none is deleted."""
    first = exhibits.make()
    rows = [first, exhibits.make(twin_id=first["id"]), exhibits.make()]
    ids = [rows[position]["id"] for position in order]
    query = {"ids": ",".join(map(str, ids))}
    holding = exhibits.make(twin_id=rows[2]["id"])
    answer = exhibits.call("DELETE", "/batch", params=query)
    assert (answer.status_code, answer.json()["code"]) == (409, "still_referenced")
    assert answer.json()["errors"][0]["loc"] == ["query", "ids", order.index(2)]
    assert [exhibits.stored(row) for row in rows] == rows
    assert exhibits.call("DELETE", f"/{holding['id']}").status_code == 204
    assert exhibits.call("DELETE", "/batch", params=query).status_code == 204
    assert exhibits.list(id__in=query["ids"])["total"] == 0
