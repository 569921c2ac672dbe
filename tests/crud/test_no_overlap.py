"""`NoOverlap` for other entities: hours of a room, and days of a resource with a UUID key. Both databases."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.testclient import TestClient

import rowhouse
from rowhouse.auth.accounts import include_accounts
from rowhouse.core.errors import OverlapError
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.core.settings import Settings
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.overlap_guard import OverlapGuard
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.entities.no_overlap import NoOverlap, rules_of
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, sign_in, unique
from tests.contract.problems import faulty_members, problem
from tests.databases import Databases
from tests.sample_entities.application import create_app
from tests.sample_entities.odd.base import OddEntity, metadata, table_of
from tests.sample_entities.odd.registry import create_tables
from tests.sample_entities.odd.shapes import Leaf, Meeting, Room, Station, Stay, Visit
from tests.statement_counter import statements_sent

MEETINGS, STAYS = "/api/v1/meetings", "/api/v1/stays"


class SigningCRUD(CRUDBase[Room]):
    """A hook that flushes rows of its own."""

    def validate(self, row: Room, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Store a station with the name of the room."""
        unit.session.add(Station(code=row.name))
        unit.session.flush()


registry = Registry("/api/v1")
include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
registry.register(Leaf, read=ANYONE, write=SIGNED_IN, path="leaves")
registry.register(Meeting, read=ANYONE, write=SIGNED_IN, soft_delete=True)
registry.register(Room, read=ANYONE, write=SIGNED_IN, crud=SigningCRUD)
registry.register(Stay, write=SIGNED_IN)
registry.register(Visit, read=ANYONE, write=SIGNED_IN)


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """An application of rooms and leaves, signed in as administrator."""
    url = databases.prepared(backend, "odd", create_tables)
    password = SecretStr(ADMIN_PASSWORD)
    settings = Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=password, **QUIET)
    with TestClient(create_app(settings, registry, metadata), raise_server_exceptions=False) as client:
        client.headers.update(sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        yield client


@pytest.fixture
def room(client: TestClient) -> int:
    """A new room."""
    return int(client.post("/api/v1/rooms", json={"name": unique()}).json()["id"])


def meet(client: TestClient, room: int, hours: tuple[int, int], **members: Any) -> dict[str, Any]:
    """Return the response to a new meeting."""
    answer = client.post(MEETINGS, json=body(room, hours, **members))
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def body(room: int, hours: tuple[int, int], **members: Any) -> dict[str, Any]:
    """Return the body of a meeting."""
    return {"room_id": room, "first_hour": hours[0], "end_hour": hours[1], **members}


def meetings(client: TestClient, room: int) -> list[tuple[int, int]]:
    """Return the stored hours of a room."""
    found = client.get(MEETINGS, params={"room_id": room, "sort": "first_hour"}).json()["items"]
    return [(row["first_hour"], row["end_hour"]) for row in found]


def test_create_update_and_a_change_of_state_are_validated_alike(client: TestClient, room: int) -> None:
    meet(client, room, (10, 12))
    told = problem(client.post(MEETINGS, json=body(room, (11, 13))), 409, "overlap")
    assert told["conflict"] == {"first_hour": 10, "end_hour": 12}
    later = meet(client, room, (12, 14))
    problem(client.patch(f"{MEETINGS}/{later['id']}", json={"first_hour": 11}), 409, "overlap")
    off = meet(client, room, (10, 11), state="off")
    problem(client.patch(f"{MEETINGS}/{off['id']}", json={"state": "begun"}), 409, "overlap")
    assert client.patch(f"{MEETINGS}/{later['id']}", json={"first_hour": 13}).status_code == 200
    assert client.patch(f"{MEETINGS}/{later['id']}", json={"state": "off"}).status_code == 200
    meet(client, room, (13, 14))
    assert meetings(client, room) == [(10, 12), (10, 11), (13, 14), (13, 14)]


def test_a_locked_row_that_moves_is_checked_and_one_that_stays_is_not(client: TestClient, room: int) -> None:
    """`update_locked` locks the room and searches for conflicts only for a new place or time, or a new live state."""
    row, _ = meet(client, room, (1, 3)), meet(client, room, (5, 7))
    application: Any = client.app
    with rowhouse.unit(application) as unit:
        crud = rowhouse.get_crud(application, Meeting)
        stored = crud.lock(unit, row["id"])
        with statements_sent() as sent:
            assert crud.update_locked(unit, stored, {"state": "begun"})["state"] == "begun"
        assert len(sent) == 1
        stored = crud.lock(unit, row["id"])
        with pytest.raises(OverlapError):
            crud.update_locked(unit, stored, {"first_hour": 6, "end_hour": 8})
        with statements_sent() as sent:
            assert crud.update_locked(unit, stored, {"first_hour": 3, "end_hour": 5})["first_hour"] == 3
        assert len(sent) == 3
    assert meetings(client, room) == [(3, 5), (5, 7)]


def test_moving_to_another_room_is_validated_there(client: TestClient, room: int) -> None:
    other = int(client.post("/api/v1/rooms", json={"name": unique()}).json()["id"])
    meet(client, other, (10, 12))
    moving = meet(client, room, (11, 13))
    problem(client.patch(f"{MEETINGS}/{moving['id']}", json={"room_id": other}), 409, "overlap")
    assert client.patch(f"{MEETINGS}/{moving['id']}", json={"room_id": other, "first_hour": 12}).status_code == 200
    problem(client.post(MEETINGS, json=body(2**31 - 1, (1, 2))), 409, "reference_not_found")


def test_an_interval_ends_after_it_starts(client: TestClient, room: int) -> None:
    for hours in ((2, 1), (1, 1)):
        assert faulty_members(client.post(MEETINGS, json=body(room, hours))) == {"end_hour"}
    row = meet(client, room, (1, 2), state="off")
    assert faulty_members(client.patch(f"{MEETINGS}/{row['id']}", json={"end_hour": 0})) == {"end_hour"}
    assert meetings(client, room) == [(1, 2)]


def test_names_that_sql_has_to_quote(client: TestClient, room: int) -> None:
    """In the engine's check and in the database's rule."""
    visit = {"order": room, "group": 1, "Until": 3}
    made = client.post("/api/v1/visits", json=visit)
    assert made.status_code == 201, made.text
    refused = client.post("/api/v1/visits", json={**visit, "group": 2})
    assert (refused.status_code, refused.json()["code"]) == (409, "overlap")
    assert client.post("/api/v1/visits", json={**visit, "Zustand": "off"}).status_code == 201
    with pytest.raises(sa.exc.IntegrityError, match="ex_visits_order"):
        store(client, Visit, {**visit, "group": 2, "Zustand": "booked"})


def test_rows_without_a_resource_do_not_overlap(client: TestClient, room: int) -> None:
    """One by one, in a batch and below the engine, neither with each other nor with rows of a resource."""
    visit = {"order": None, "group": 1, "Until": 9}
    for one in (visit, visit, {**visit, "order": room}, visit):
        assert client.post("/api/v1/visits", json=one).status_code == 201
    batch = client.post("/api/v1/visits/batch", json=[visit, visit])
    assert batch.status_code == 201, batch.text
    store(client, Visit, {**visit, "Zustand": "booked"})


def store(client: TestClient, model: type[OddEntity], row: Row) -> None:
    """Store a row without the engine."""
    app = client.app
    assert isinstance(app, FastAPI)
    with app.state.database.engine.begin() as connection:
        connection.execute(sa.insert(table_of(model)), row)


def test_a_batch_is_validated_row_by_row_and_as_a_whole(client: TestClient, room: int) -> None:
    told = problem(client.post(f"{MEETINGS}/batch", json=[body(room, (n, n + 2)) for n in (1, 3, 4)]), 409, "overlap")
    assert told["detail"].startswith("Element 2:")
    assert meetings(client, room) == []
    made = client.post(f"{MEETINGS}/batch", json=[body(room, (n, n + 2)) for n in (1, 3, 5)])
    assert made.status_code == 201, made.text
    ids = [row["id"] for row in made.json()]
    swap = [{"id": ids[0], "first_hour": 7, "end_hour": 9}, {"id": ids[1], "first_hour": 1}]
    assert client.patch(f"{MEETINGS}/batch", json=swap).status_code == 200
    assert meetings(client, room) == [(1, 5), (5, 7), (7, 9)]
    clash = [{"id": ids[1], "end_hour": 4}, {"id": ids[2], "first_hour": 3}]
    problem(client.patch(f"{MEETINGS}/batch", json=clash), 409, "overlap")
    assert meetings(client, room) == [(1, 5), (5, 7), (7, 9)]


def test_what_was_deleted_comes_back_only_where_it_fits(client: TestClient, room: int) -> None:
    row = meet(client, room, (1, 3))
    assert client.delete(f"{MEETINGS}/{row['id']}").status_code == 204
    rival = meet(client, room, (2, 4))
    told = problem(client.post(f"{MEETINGS}/{row['id']}/restore"), 409, "overlap")
    assert told["conflict"] == {"first_hour": 2, "end_hour": 4}
    assert client.delete(f"{MEETINGS}/{rival['id']}").status_code == 204
    assert client.post(f"{MEETINGS}/{row['id']}/restore").status_code == 200
    problem(client.post(f"{MEETINGS}/{rival['id']}/restore"), 409, "overlap")


def test_a_file_of_rows_is_validated_too(client: TestClient, room: int) -> None:
    header = "room_id,first_hour,end_hour\n"
    kind = {"Content-Type": "text/csv"}
    clash = client.post(f"{MEETINGS}/import", content=f"{header}{room},1,3\n{room},2,4\n", headers=kind)
    assert (clash.status_code, clash.json()["code"]) == (409, "overlap")
    assert [fault["loc"] for fault in clash.json()["errors"]] == [["body", 1]]
    assert meetings(client, room) == []
    assert (
        client.post(f"{MEETINGS}/import", content=f"{header}{room},1,3\n{room},3,4\n", headers=kind).status_code == 201
    )
    assert meetings(client, room) == [(1, 3), (3, 4)]


def test_an_error_of_a_hooks_flush_names_the_element(client: TestClient) -> None:
    taken, free = unique("sign"), unique("sign")
    assert client.post("/api/v1/rooms", json={"name": taken}).status_code == 201
    told = problem(client.post("/api/v1/rooms/batch", json=[{"name": free}, {"name": taken}]), 409, "duplicate")
    assert told["detail"] == "Element 1: Station with this code already exists"
    assert client.get("/api/v1/rooms", params={"name": free}).json()["total"] == 0


def test_a_row_that_moves_before_its_lock_repeats_the_request(
    client: TestClient, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another transaction moved it to another room while this one waited for a lock. It starts again and succeeds."""
    elsewhere = int(client.post("/api/v1/rooms", json={"name": unique()}).json()["id"])
    row, lock, calls = meet(client, room, (1, 2)), OverlapGuard.lock, []

    def moving(self: OverlapGuard, unit: UnitOfWork, resources: Iterable[Any]) -> None:
        lock(self, unit, resources)
        calls.append(resources)
        if len(calls) == 1:
            change = sa.update(table_of(Meeting)).where(table_of(Meeting).c.id == row["id"]).values(room_id=elsewhere)
            unit.thread_connection.connection.execute(change)

    monkeypatch.setattr(OverlapGuard, "lock", moving)
    changed = client.patch(f"{MEETINGS}/{row['id']}", json={"end_hour": 3})
    assert (changed.status_code, changed.json()["room_id"], len(calls)) == (200, room, 2)


def test_days_on_a_resource_with_a_uuid(client: TestClient) -> None:
    leaves = [client.post("/api/v1/leaves", json={"name": unique()}).json()["id"] for _ in range(2)]
    stay = {"leaf_id": leaves[0], "arrival": "2030-01-01", "departure": "2030-01-05"}
    assert client.post(STAYS, json=stay).status_code == 201
    told = problem(
        client.post(STAYS, json={**stay, "arrival": "2030-01-04", "departure": "2030-01-06"}), 409, "overlap"
    )
    assert told["conflict"] == {"arrival": "2030-01-01", "departure": "2030-01-05"}
    assert client.post(STAYS, json={**stay, "arrival": "2030-01-05", "departure": "2030-01-06"}).status_code == 201
    assert client.post(STAYS, json={**stay, "leaf_id": leaves[1]}).status_code == 201


@pytest.mark.parametrize("model", [Meeting, Stay])
def test_the_database_holds_the_rule_below_the_engine(client: TestClient, model: type[OddEntity]) -> None:
    """The database's own rule rejects a row that the engine never saw."""
    app = client.app
    assert isinstance(app, FastAPI)
    table = table_of(model)
    if model is Meeting:
        room = client.post("/api/v1/rooms", json={"name": unique()}).json()["id"]
        row = meet(client, room, (1, 3))
    else:
        leaf = client.post("/api/v1/leaves", json={"name": unique()}).json()["id"]
        row = client.post(STAYS, json={"leaf_id": leaf, "arrival": "2030-01-01", "departure": "2030-01-03"}).json()
    names = [name for name in table.columns.keys() if name != "id"]  # noqa: SIM118  a collection of columns iterates over columns
    copy = sa.insert(table).from_select(names, sa.select(*(table.c[n] for n in names)).where(table.c.id == row["id"]))
    engine: sa.Engine = app.state.database.engine
    with pytest.raises(sa.exc.IntegrityError, match=f"ex_{table.name}"), engine.begin() as connection:
        connection.execute(copy)


@pytest.mark.parametrize(
    ("rule", "fix"),
    [
        (NoOverlap("hall_id", "first", "last"), "names hall_id; refused has"),
        (NoOverlap("user_id", "name", "last"), "takes instants, dates or whole numbers"),
        (NoOverlap("user_id", "first", "first"), "must be two columns of one type"),
        (NoOverlap("user_id", "first", "moment"), "must be two columns of one type"),
        (NoOverlap("user_id", "first", "last", live={"state": ("on",)}), "names state"),
    ],
)
def test_a_wrong_declaration_names_the_fix(rule: NoOverlap, fix: str) -> None:
    columns: list[sa.Column[Any]] = [
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("user_id", sa.ForeignKey("users.id")),
        *(sa.Column(name, sa.Integer()) for name in ("number", "first", "last")),
        sa.Column("moment", sa.DateTime()),
        sa.Column("name", sa.String()),
    ]
    with pytest.raises(ValueError, match=fix):
        sa.Table("refused", sa.MetaData(), *columns, rule)


def test_a_resource_that_is_no_row_is_refused_at_start_up() -> None:
    columns = [
        sa.Column("id", sa.Integer(), primary_key=True),
        *(sa.Column(n, sa.Integer(), nullable=False) for n in ("room", "a", "b")),
    ]
    table = sa.Table("unqueued", sa.MetaData(), *columns, NoOverlap("room", "a", "b"))
    with pytest.raises(RegistrationError, match=r"unqueued\.room must be a foreign key"):
        OverlapGuard(rules_of(table)[0], table.c.id, sa.make_url("sqlite://").get_dialect()())


def test_it_belongs_to_a_table() -> None:
    with pytest.raises(TypeError, match="__table_args__"):
        sa.Column("x", sa.Integer(), NoOverlap("a", "b", "c"))


def test_a_resource_without_a_number_is_excluded_by_its_hash() -> None:
    """Without an extension PostgreSQL has ranges of numbers, but none of text."""
    rule = rules_of(table_of(Stay))[0]
    kinds = {**rule.types, rule.resource: sa.Uuid()}
    assert f"hashtextextended({rule.resource}::text, 0)" in rule.rule.exclusion(kinds)
    assert "hashtextextended" not in rule.rule.exclusion({**kinds, rule.resource: sa.BigInteger()})
