"""Pages of deleted rows go by an index on both databases, and obey rules that are partly a project's own."""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlmodel import col
from starlette.testclient import TestClient

from rowhouse.auth.accounts import include_accounts
from rowhouse.core.clock import now
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.core.security import Caller
from rowhouse.core.settings import Settings
from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import EVERYTHING, CompiledStatement, Predicate, Row
from rowhouse.history.deleted_rows import deleted_rows
from rowhouse.operations import deleted_list
from rowhouse.registration.registry import Registry
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, sign_in, sign_up
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.pages.test_plans import Recorder, engine_of
from tests.sample_entities.application import create_app
from tests.sample_entities.odd.base import metadata
from tests.sample_entities.odd.registry import create_tables
from tests.sample_entities.odd.shapes import Notice

COUNT, OWNERS = 4000, 8
LATEST = "ix_deleted_rows_entity_deleted_at_row_id"
OF_OWNER = "ix_deleted_rows_entity_owner_id_deleted_at_row_id"


@pytest.fixture(scope="module")
def archive(backend: str, make_app: Callable[..., TestClient]) -> TestClient:
    """An application with enough deleted rows of several owners for an index to pay off."""
    client = make_app(backend)
    at = now()
    rows = [
        {
            "entity": ("vehicles", "books")[n % 2],
            "row_id": str(n),
            "deleted_at": at - timedelta(seconds=n // 3),
            "owner_id": n % OWNERS,
            "content": json.dumps({"id": n}),
        }
        for n in range(COUNT)
    ]
    with engine_of(client).connect() as connection:
        connection.execute(sa.insert(deleted_rows), rows)
        connection.commit()
        connection.execute(sa.text("ANALYZE"))
        connection.commit()
    return client


@pytest.mark.parametrize(("role", "index"), [("admin", LATEST), ("driver", OF_OWNER)])
def test_a_page_goes_by_an_index(
    archive: TestClient, backend: str, monkeypatch: pytest.MonkeyPatch, role: str, index: str
) -> None:
    """In its order, without a sort: the first page, and one behind a cursor."""
    headers = sign_in(archive, ADMIN_EMAIL, ADMIN_PASSWORD) if role == "admin" else sign_up(archive, "driver")
    me = archive.get("/api/v1/users/me", headers=headers).json()["id"]
    with engine_of(archive).connect() as connection:
        theirs = deleted_rows.c.owner_id == 6
        connection.execute(sa.update(deleted_rows).where(theirs, sa.true()).values(owner_id=me))
        connection.commit()
    plans: list[str] = []
    execute = CompiledStatement.execute

    def explaining(
        self: CompiledStatement, driver: Any, parameters: Mapping[str, Any], predicate: Predicate = EVERYTHING
    ) -> list[Row]:
        recorder = Recorder(driver)
        found = execute(self, recorder, parameters, predicate)
        if "deleted_rows" in self.text:
            explain = "EXPLAIN " if backend == "postgresql" else "EXPLAIN QUERY PLAN "
            lines = driver.execute(explain + self.text, recorder.values).fetchall()
            plans.append("\n".join(str(line[-1]) for line in lines))
        return found

    path = "/api/v1/vehicles/deleted"
    cursor = archive.get(path, params={"size": 9}, headers=headers).json()["next_cursor"]
    monkeypatch.setattr(CompiledStatement, "execute", explaining)
    queries: list[dict[str, Any]] = [{"size": 5}, {"cursor": cursor, "size": 5}]
    for query in queries:
        plans.clear()
        assert archive.get(path, params=query, headers=headers).status_code == 200
        (plan,) = plans
        assert index in plan
        assert "Sort" not in plan
        assert "TEMP B-TREE" not in plan


class LockedCRUD(CRUDBase[Notice]):
    """Notices that their authors change until they are locked."""

    def writable(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """The author's own, unless it is locked; administrators have no other rule."""
        mine = super().writable(caller)
        return None if mine is None else sa.and_(mine, col(Notice.message) != "locked")


@pytest.fixture
def notices(databases: Databases, backend: str) -> Iterator[TestClient]:
    """Two versions of an API: the first keeps deleted notices, the second knows no owner, and anyone may write."""
    first, second = Registry("/api/v1"), Registry("/api/v2")
    include_accounts(first, roles=("driver",), sign_up=("user", "driver"))
    first.register(Notice, read=ANYONE, write=ANYONE, owner="author_id", crud=LockedCRUD, soft_delete=True)
    second.register(Notice, read=ANYONE, write=SIGNED_IN)
    settings = Settings(
        database_url=databases.prepared(backend, "odd", create_tables),
        admin_email=ADMIN_EMAIL,
        admin_password=SecretStr(ADMIN_PASSWORD),
        **QUIET,
    )
    with QuickClient(create_app(settings, [first, second], metadata)) as client:
        yield client


def test_a_rule_is_tested_for_rows_of_the_owner_alone(notices: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """An owner's condition goes by the index, however the rule adds to it; another version's deletes count too."""
    owner, stranger = sign_up(notices), sign_up(notices)
    ids: list[int] = []
    for who in (owner, owner, owner, stranger):
        body = {"message": "locked" if len(ids) == 1 else "free"}
        ids.append(notices.post("/api/v1/notices", json=body, headers=who).json()["id"])
    for number, key in enumerate(ids):
        prefix = "/api/v2" if number else "/api/v1"
        assert notices.delete(f"{prefix}/notices/{key}", headers=owner).status_code == 204
    monkeypatch.setattr(deleted_list, "MAX_TESTED", 3)
    found = notices.get("/api/v1/notices/deleted", headers=owner).json()
    assert ([row["id"] for row in found["items"]], found["total"]) == ([ids[2], ids[0]], 2)
    assert [row["id"] for row in notices.get("/api/v1/notices/deleted", headers=stranger).json()["items"]] == ids[3:]
    nobody = notices.get("/api/v1/notices/deleted").json()
    assert (nobody["items"], nobody["total"]) == ([], 0)
    admin = sign_in(notices, ADMIN_EMAIL, ADMIN_PASSWORD)
    assert [row["id"] for row in notices.get("/api/v1/notices/deleted", headers=admin).json()["items"]] == ids[::-1]
    assert notices.get("/api/v2/notices/deleted", headers=admin).status_code == 422
