"""Sixteen clients restore deleted meetings into a time that is taken, on two servers. One meeting gets it."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx2
import pytest
import sqlalchemy as sa

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from tests.concurrency.clients import CLIENTS, Headers, TimedClient, make, sign_in, statuses
from tests.concurrency.meetings import create
from tests.concurrency.servers import serve, together
from tests.concurrency.tables import Tables, columns_of
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, unique
from tests.databases import Databases
from tests.sample_entities.odd.registry import create_tables
from tests.sample_entities.odd.shapes import Meeting

MEETING = columns_of(Meeting)
MEETINGS = "/meetings"


@pytest.fixture(scope="module")
def rooms_url(databases: Databases, backend: str) -> str:
    """The URL of a database with meetings."""
    return databases.prepared(backend, "odd", create_tables)


@pytest.fixture(scope="module")
def clients(rooms_url: str) -> Iterator[list[httpx2.Client]]:
    """A client of each of two servers on it."""
    with ExitStack() as stack:
        servers = stack.enter_context(serve(rooms_url, count=2, application=create))
        yield [stack.enter_context(TimedClient(server)) for server in servers]


@pytest.fixture(scope="module")
def tables(rooms_url: str) -> Iterator[Tables]:
    """The tables below them."""
    engine = create_engine(Settings(database_url=rooms_url))
    yield Tables(engine)
    engine.dispose()


def test_one_of_many_meetings_comes_back(clients: list[httpx2.Client], tables: Tables) -> None:
    """Half restore one that overlaps all others, half make a new one at the same time.

    The rest are told that the time is taken.
    """
    me = sign_in(clients[0], ADMIN_EMAIL, ADMIN_PASSWORD)
    room = make(clients[0], "/rooms", {"name": unique("room")}, me)
    bodies = [{"room_id": room, "first_hour": number, "end_hour": 2 * CLIENTS} for number in range(CLIENTS)]
    deleted = [make_and_delete(clients[0], body, me) for body in bodies[::2]]

    def take(number: int) -> httpx2.Response:
        client = clients[number // 2 % 2]
        if number % 2:
            return client.post(MEETINGS, json=bodies[number], headers=me)
        return client.post(f"{MEETINGS}/{deleted[number // 2]}/restore", headers=me)

    answers = together(take, CLIENTS)
    (winner,) = [answer.json() for answer in answers if answer.is_success]
    assert {told for told in statuses(answers) if told[0] > 201} == {(409, "overlap")}
    stored = tables.rows(sa.select(MEETING.id, MEETING.first_hour).where(MEETING.room_id == room))
    assert [tuple(row) for row in stored] == [(winner["id"], winner["first_hour"])]


def make_and_delete(client: httpx2.Client, body: dict[str, int], headers: Headers) -> int:
    """The id of a meeting that is gone."""
    made = make(client, MEETINGS, body, headers)
    assert client.delete(f"{MEETINGS}/{made}", headers=headers).status_code == 204
    return made
