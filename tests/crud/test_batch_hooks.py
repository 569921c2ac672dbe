"""A batch is validated as if its rows were written one by one: hooks for one row and for many rows, and `NoOverlap`."""

import random
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from httpx2 import Response
from pydantic import SecretStr
from sqlmodel import func, select
from starlette.testclient import TestClient

from rowhouse.auth.accounts import include_accounts
from rowhouse.core.errors import ConflictError
from rowhouse.core.policy import ANYONE, SIGNED_IN
from rowhouse.core.settings import Settings
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.batch_errors import element_error, single_row_error
from rowhouse.crud.overlap_guard import OverlapGuard
from rowhouse.db.compiled import CompiledStatement, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.registration.registry import Registry
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, sign_in, unique
from tests.contract.problems import problem
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.application import create_app
from tests.sample_entities.odd.base import metadata, table_of
from tests.sample_entities.odd.registry import create_tables
from tests.sample_entities.odd.shapes import Leaf, Meeting, Parcel, Room, Sealed, Station
from tests.statement_counter import statements_sent

MEETINGS, ROOMS, PARCELS, LEAVES, SEALED = (
    f"/api/v1/{path}" for path in ("meetings", "rooms", "parcels", "leaves", "sealed")
)
MISSING = 2**31 - 1
Body = dict[str, Any]


class FullError(ConflictError):
    """409: there are too many rooms with a name."""

    code = "full"


class LatecomerCRUD(CRUDBase[Room]):
    """A hook for one row that counts stored rows, including those of its own batch."""

    one_by_one = True

    def validate(self, row: Room, *, stored: Row | None, unit: UnitOfWork) -> None:
        """Allow two rooms with a name."""
        if unit.session.exec(select(func.count()).where(Room.name == row.name)).one() >= 2:
            raise FullError


class ParcelCRUD(CRUDBase[Parcel]):
    """Hooks for many rows: they set slugs, and limit the total weight."""

    def prepare_many(self, rows: Sequence[Row], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """Set the slug to a name without spaces. Another name needs a weight."""
        super().prepare_many(rows, stored=stored, unit=unit)
        for position, values in enumerate(rows):
            if " " in values.get("name", ""):
                raise ConflictError("No spaces.").element_error(position)
            if values.get("name", "").islower():
                values["slug"] = values["name"]

    def validate_many(self, rows: Sequence[Parcel], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """Allow a total weight of 100."""
        super().validate_many(rows, stored=stored, unit=unit)
        weight = 0
        for position, row in enumerate(rows):
            weight += row.weight
            with element_error(position):
                if weight > 100:
                    raise FullError
                if row.status == "posted":  # a statement that the database refuses
                    insert = sa.insert(table_of(Station)).values(
                        code=sa.null(), created_at=sa.null(), updated_at=sa.null()
                    )
                    unit.run(CompiledStatement(insert, unit.database.dialect, columns=[]), {})


class LeafCRUD(CRUDBase[Leaf]):
    """A hook for one row and an overridden verb for many."""

    def create_many(self, unit: UnitOfWork, values: Sequence[Any]) -> Sequence[Row]:
        """Store leaves in the order of their names."""
        return super().create_many(unit, sorted(values, key=lambda one: str(one["name"])))


class SealedCRUD(CRUDBase[Sealed]):
    """A hook that sets a column in some rows only."""

    def prepare_many(self, rows: Sequence[Row], *, stored: Sequence[Row | None], unit: UnitOfWork) -> None:
        """By the serial number; a pin that is nobody's is left to the database, which takes none."""
        for values in rows:
            if values.get("serial", "").endswith("odd"):
                del values["pin"]


registry = Registry("/api/v1")
include_accounts(registry, roles=("driver",), sign_up=("user", "driver"), operations=())
registry.register(Leaf, read=ANYONE, write=SIGNED_IN, path="leaves", crud=LeafCRUD)
registry.register(Meeting, read=ANYONE, write=SIGNED_IN, history=True)
registry.register(Parcel, read=ANYONE, write=SIGNED_IN, crud=ParcelCRUD, history=True, soft_delete=True)
registry.register(Room, read=ANYONE, write=SIGNED_IN, crud=LatecomerCRUD)
registry.register(Sealed, read=ANYONE, write=SIGNED_IN, path="sealed", crud=SealedCRUD)


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """An application of rooms and parcels, signed in as administrator."""
    url = databases.prepared(backend, "odd", create_tables)
    password = SecretStr(ADMIN_PASSWORD)
    settings = Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=password, **QUIET)
    with QuickClient(create_app(settings, registry, metadata)) as client:
        client.headers.update(sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
        yield client


def add_room(client: TestClient) -> int:
    """Create a room and return its id."""
    return int(client.post(ROOMS, json={"name": unique()}).json()["id"])


def in_turn(answers: Iterator[Response]) -> tuple[int, Response | None]:
    """Return how many single requests succeeded, and the first that failed."""
    position = 0
    for position, answer in enumerate(answers, start=1):
        if not answer.is_success:
            return position - 1, answer
    return position, None


def calendar(client: TestClient, rooms: Sequence[int]) -> list[tuple[int, int, int, str]]:
    """Return the stored meetings of rooms, each room by its position."""
    found = client.get(
        MEETINGS, params={"room_id__in": ",".join(map(str, rooms)), "sort": "room_id,first_hour,id", "size": 100}
    )
    return [
        (rooms.index(row["room_id"]), row["first_hour"], row["end_hour"], row["state"]) for row in found.json()["items"]
    ]


def drawn_meeting(draw: random.Random, rooms: Sequence[int]) -> Body:
    """Return a random meeting that often overlaps, and is sometimes invalid."""
    first = draw.randrange(12)
    at = MISSING if draw.random() < 0.04 else draw.choice(rooms)
    length = draw.choice([0, 1, 1, 2, 2, 3]) if draw.random() < 0.2 else draw.choice([1, 2])
    return {
        "room_id": at,
        "first_hour": first,
        "end_hour": first + length,
        "state": draw.choice(["booked", "booked", "begun", "off"]),
    }


def assert_same(batch: Response, went_well: int, refusal: Response | None) -> None:
    """Require that a batch returns the error of the first element that fails alone."""
    if refusal is None:
        assert batch.is_success, batch.text
        return
    assert not batch.is_success, batch.text
    content = batch.json()
    assert content["detail"].startswith(f"Element {went_well}: "), content
    assert content["errors"][0]["loc"][:2] == ["body", went_well]
    alone = refusal.json()
    assert (batch.status_code, content["code"], content.get("conflict")) == (
        refusal.status_code, alone["code"], alone.get("conflict"),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_new_rows_are_validated_as_if_they_came_one_by_one(client: TestClient, seed: int) -> None:
    """In two rooms with the same meetings, a batch has the result of single requests."""
    rooms, twins = ([add_room(client) for _ in range(2)] for _ in range(2))
    draw = random.Random(seed)  # noqa: S311  the same draw in every run
    there = [
        drawn_meeting(draw, (0, 1)) | {"room_id": n % 2, "first_hour": 5 * n, "end_hour": 5 * n + 1} for n in range(4)
    ]
    bodies = [drawn_meeting(draw, (0, 1)) for _ in range(5)]

    def at(places: Sequence[int], body: Body) -> Body:
        return body if body["room_id"] == MISSING else {**body, "room_id": places[body["room_id"]]}

    for places in (rooms, twins):
        assert client.post(f"{MEETINGS}/batch", json=[at(places, body) for body in there]).status_code == 201
    before = calendar(client, rooms)
    batch = client.post(f"{MEETINGS}/batch", json=[at(rooms, body) for body in bodies])
    assert_same(batch, *in_turn(client.post(MEETINGS, json=at(twins, body)) for body in bodies))
    assert calendar(client, rooms) == (calendar(client, twins) if batch.is_success else before)


@pytest.mark.parametrize("seed", range(6))
def test_changes_are_validated_as_if_they_came_one_by_one(client: TestClient, seed: int) -> None:
    """When an element is checked, earlier elements have moved and later ones have not, whatever members they set."""
    rooms, twins = ([add_room(client) for _ in range(2)] for _ in range(2))
    draw = random.Random(seed)  # noqa: S311  the same draw in every run
    there = [(n % 2, 2 * n, 2 * n + draw.choice([1, 2]), draw.choice(["booked", "begun", "off"])) for n in range(6)]
    ids: list[list[int]] = []
    for places in (rooms, twins):
        bodies = [{"room_id": places[at], "first_hour": a, "end_hour": b, "state": state} for at, a, b, state in there]
        ids.append([row["id"] for row in client.post(f"{MEETINGS}/batch", json=bodies).json()])
    changes = []
    for n in draw.sample(range(6), 4):
        body = drawn_meeting(draw, (0, 1))
        names = draw.choice(
            [("first_hour", "end_hour"), ("room_id",), ("state",), ("first_hour", "end_hour", "room_id")]
        )
        changes.append((n, {name: body[name] for name in names}))

    def change(places: Sequence[int], body: Body) -> Body:
        return body if body.get("room_id") in (None, MISSING) else {**body, "room_id": places[body["room_id"]]}

    before = calendar(client, rooms)
    batch = client.patch(f"{MEETINGS}/batch", json=[{"id": ids[0][n], **change(rooms, body)} for n, body in changes])
    singles = (client.patch(f"{MEETINGS}/{ids[1][n]}", json=change(twins, body)) for n, body in changes)
    assert_same(batch, *in_turn(singles))
    assert calendar(client, rooms) == (calendar(client, twins) if batch.is_success else before)


def test_rows_that_move_up_one_by_one_pass(client: TestClient) -> None:
    """Each moves to the place of the one before it. In the opposite order the first one overlaps."""
    room = add_room(client)
    hours = [{"room_id": room, "first_hour": n, "end_hour": n + 1} for n in range(8)]
    ids = [row["id"] for row in client.post(f"{MEETINGS}/batch", json=hours).json()]
    later = [{"id": row, "first_hour": n + 1, "end_hour": n + 2} for n, row in enumerate(ids)]
    refused = problem(client.patch(f"{MEETINGS}/batch", json=later), 409, "overlap")
    assert (refused["detail"][:10], refused["conflict"]) == ("Element 0:", {"first_hour": 1, "end_hour": 2})
    moved = client.patch(f"{MEETINGS}/batch", json=later[::-1])
    assert [row["first_hour"] for row in moved.json()] == list(range(8, 0, -1))
    entries = client.get(f"{MEETINGS}/{ids[0]}/history").json()["items"]
    assert [(entry["action"], entry["after"]["first_hour"]) for entry in entries] == [("create", 0), ("update", 1)]
    assert entries[1]["before"] == entries[0]["after"]


def test_rows_of_a_batch_conflict_with_each_other(client: TestClient) -> None:
    """New and moved rows. The error has the earliest conflicting interval of an earlier element."""
    room = add_room(client)
    bodies = [{"room_id": room, "first_hour": n, "end_hour": n + 2} for n in (4, 2, 6, 3)]
    refused = problem(client.post(f"{MEETINGS}/batch", json=bodies), 409, "overlap")
    assert (refused["detail"][:10], refused["conflict"]) == ("Element 3:", {"first_hour": 2, "end_hour": 4})
    assert calendar(client, [room]) == []
    ids = [row["id"] for row in client.post(f"{MEETINGS}/batch", json=bodies[:3]).json()]
    moves = [{"id": ids[0], "first_hour": 10, "end_hour": 12}, {"id": ids[1], "first_hour": 11, "end_hour": 13}]
    refused = problem(client.patch(f"{MEETINGS}/batch", json=moves), 409, "overlap")
    assert (refused["detail"][:10], refused["conflict"]) == ("Element 1:", {"first_hour": 10, "end_hour": 12})
    assert calendar(client, [room]) == [(0, 2, 4, "booked"), (0, 4, 6, "booked"), (0, 6, 8, "booked")]


def test_changes_of_unlike_members_are_stored_in_their_order(client: TestClient) -> None:
    """The first makes room for the second, which leaves another room, and that one for the third."""
    rooms = [add_room(client) for _ in range(2)]
    hours = ((0, 1), (1, 1), (1, 2))
    bodies = [{"room_id": rooms[at], "first_hour": first, "end_hour": first + 1} for at, first in hours]
    ids = [row["id"] for row in client.post(f"{MEETINGS}/batch", json=bodies).json()]
    changes: list[Body] = [
        {"id": ids[0], "first_hour": 5, "end_hour": 6},
        {"id": ids[1], "room_id": rooms[0]},
        {"id": ids[2], "first_hour": 1, "end_hour": 2},
    ]
    answer = client.patch(f"{MEETINGS}/batch", json=changes)
    assert answer.status_code == 200, answer.text
    assert [row["id"] for row in answer.json()] == ids
    assert calendar(client, rooms) == [(0, 1, 2, "booked"), (0, 5, 6, "booked"), (1, 1, 2, "booked")]


def test_a_missing_row_is_named_if_the_elements_before_it_are_valid(client: TestClient) -> None:
    room = add_room(client)
    hours = [{"room_id": room, "first_hour": n, "end_hour": n + 1} for n in range(2)]
    first, second = (row["id"] for row in client.post(f"{MEETINGS}/batch", json=hours).json())
    fine, gone, clash = {"id": first, "end_hour": 1}, {"id": MISSING, "end_hour": 9}, {"id": second, "first_hour": 0}
    for changes, status, position in (
        ([fine, gone, clash], 404, 1),
        ([fine, clash, gone], 409, 1),
        ([gone, clash], 404, 0),
    ):
        content = problem_of_element(client.patch(f"{MEETINGS}/batch", json=changes), status)
        assert content["errors"][0]["loc"] == ["body", position]
    assert calendar(client, [room]) == [(0, 0, 1, "booked"), (0, 1, 2, "booked")]


def problem_of_element(answer: Response, status: int) -> Body:
    """Return the problem of an element of a batch, with any status."""
    assert answer.status_code == status, answer.text
    content: Body = answer.json()
    return content


def test_a_hook_of_one_row_sees_those_stored_before_it(client: TestClient) -> None:
    """With `one_by_one`, a batch is stored row by row."""
    name = unique()
    content = problem(client.post(f"{ROOMS}/batch", json=[{"name": name}] * 3), 409, "full")
    assert content["errors"][0]["loc"] == ["body", 2]
    assert client.get(ROOMS, params={"name": name}).json()["total"] == 0
    assert client.post(f"{ROOMS}/batch", json=[{"name": name}] * 2).status_code == 201
    alone = problem(client.post(ROOMS, json={"name": name}), 409, "full")
    assert "errors" not in alone
    others = [add_room(client) for _ in range(3)]
    name = unique()
    renamed = [{"id": room, "name": name} for room in others]
    content = problem(client.patch(f"{ROOMS}/batch", json=renamed), 409, "full")
    assert content["errors"][0]["loc"] == ["body", 2]
    assert client.get(ROOMS, params={"name": name}).json()["total"] == 0
    assert client.patch(f"{ROOMS}/batch", json=renamed[:2]).status_code == 200


def test_hooks_of_many_rows_see_all_of_them(client: TestClient) -> None:
    """Values that they set are stored, and rows that they reject are not.

    A single row is a batch of one, without a position in the error.
    """
    name = unique("p")
    parcels = [{"name": f"{name}{n}" if n % 2 else f"{name}{n}".upper(), "weight": 30} for n in range(4)]
    content = problem(client.post(f"{PARCELS}/batch", json=parcels), 409, "full")
    assert content["errors"][0]["loc"] == ["body", 3]
    assert client.get(PARCELS, params={"name__startswith": name}).json()["total"] == 0
    made = client.post(f"{PARCELS}/batch", json=parcels[:3]).json()
    assert [row["slug"] for row in made] == ["", f"{name}1", ""]
    heavier = [{"id": row["id"], "weight": 50, **({"name": "x"} if n else {})} for n, row in enumerate(made)]
    assert problem(client.patch(f"{PARCELS}/batch", json=heavier), 409, "full")["errors"][0]["loc"] == ["body", 2]
    changed = client.patch(f"{PARCELS}/batch", json=heavier[:2]).json()
    assert [(row["weight"], row["slug"]) for row in changed] == [(50, ""), (50, "x")]
    for method, path in (("POST", PARCELS), ("PATCH", f"{PARCELS}/{made[0]['id']}")):
        for members, code in (({"weight": 101}, "full"), ({"name": "a b"}, "conflict")):
            alone = problem(client.request(method, path, json={"name": "y", "weight": 1, **members}), 409, code)
            assert "errors" not in alone
    spaced = problem(client.post(f"{PARCELS}/batch", json=[parcels[0], {"name": "a b", "weight": 1}]), 409, "conflict")
    assert spaced["errors"][0]["loc"] == ["body", 1]
    assert client.delete(f"{PARCELS}/{made[0]['id']}").status_code == 204
    assert client.post(f"{PARCELS}/{made[0]['id']}/restore").json()["weight"] == 50


def test_an_error_of_the_database_in_a_hook_is_the_response(client: TestClient) -> None:
    """Elements before it are not checked any more: on PostgreSQL the transaction has failed."""
    name = unique("p")
    parcels = [{"name": name, "weight": 1}, {"name": name, "weight": 1, "status": "posted"}]
    content = problem(client.post(f"{PARCELS}/batch", json=parcels), 409, "conflict")
    assert content["errors"][0]["loc"] == ["body", 1]
    assert client.get(PARCELS, params={"name": name}).json()["total"] == 0


def test_deleting_many_asks_no_hook(client: TestClient) -> None:
    name = unique()
    ids = [row["id"] for row in client.post(f"{ROOMS}/batch", json=[{"name": name}] * 2).json()]
    assert client.delete(f"{ROOMS}/batch", params={"ids": ",".join(map(str, ids))}).status_code == 204
    assert client.get(ROOMS, params={"name": name}).json()["total"] == 0


def test_the_verb_of_many_rows_can_be_overridden(client: TestClient) -> None:
    names = sorted(unique("leaf") for _ in range(3))
    made = client.post(f"{LEAVES}/batch", json=[{"name": name} for name in names[::-1]])
    assert [row["name"] for row in made.json()] == names


def test_rows_that_set_other_columns_are_stored_beside_each_other(client: TestClient) -> None:
    """A NOT NULL column that a hook has removed is an error."""
    serials = [unique("s") for _ in range(3)]
    fine = client.post(f"{SEALED}/batch", json=[{"serial": serial} for serial in serials])
    assert [row["serial"] for row in fine.json()] == serials
    bodies = [{"serial": unique("s")}, {"serial": f"{unique('s')}-odd"}, {"serial": unique("s")}]
    content = problem(client.post(f"{SEALED}/batch", json=bodies), 409, "conflict")
    assert content["errors"][0]["loc"] == ["body", 1]
    assert client.get(SEALED, params={"serial__in": ",".join(body["serial"] for body in bodies)}).json()["total"] == 0


def test_a_batch_with_conflicts_takes_the_statements_of_one_row(client: TestClient) -> None:
    """The number of statements does not grow with the rows."""
    room, counts = add_room(client), []
    for count in (2, 64):
        with statements_sent() as seen:
            bodies = [
                {"room_id": room, "first_hour": 100 * count + n, "end_hour": 100 * count + n + 1} for n in range(count)
            ]
            rows = client.post(f"{MEETINGS}/batch", json=bodies).json()
            changes = [{"id": row["id"], "state": "begun"} for row in rows]
            assert client.patch(f"{MEETINGS}/batch", json=changes).status_code == 200
        counts.append(len(seen))
    assert counts[0] == counts[1]


def test_a_row_that_moves_before_its_lock_repeats_the_batch(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another transaction moved it to another room while the batch waited for a lock."""
    room, elsewhere = add_room(client), add_room(client)
    body = {"room_id": room, "first_hour": 1, "end_hour": 2}
    row, lock, calls = client.post(MEETINGS, json=body).json(), OverlapGuard.lock, []

    def moving(self: OverlapGuard, unit: UnitOfWork, resources: Any) -> None:
        lock(self, unit, resources)
        calls.append(resources)
        if len(calls) == 1:
            change = sa.update(table_of(Meeting)).where(table_of(Meeting).c.id == row["id"]).values(room_id=elsewhere)
            unit.thread_connection.connection.execute(change)

    monkeypatch.setattr(OverlapGuard, "lock", moving)
    changed = client.patch(f"{MEETINGS}/batch", json=[{"id": row["id"], "end_hour": 3}])
    assert (changed.status_code, changed.json()[0]["room_id"], len(calls)) == (200, room, 2)


def test_an_error_of_one_row_names_no_element() -> None:
    """A route of one row may use what is written for many, with an error or without."""
    with single_row_error():
        pass
    with pytest.raises(ConflictError) as raised, single_row_error(), element_error(3):
        raise ConflictError("No spaces.")
    assert raised.value.element is None
