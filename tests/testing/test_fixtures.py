"""The fixtures of the plugin, used as a project uses them, over the clinic."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlmodel import select
from starlette.testclient import TestClient

from rowhouse import User, now, unit
from rowhouse.cli.project import Project
from rowhouse.core.settings import Settings
from rowhouse.testing import BodyOf, FrozenClock, Headers, Make, RefusedBodyError, Statements
from rowhouse.testing.bodies.values import UnguessableError
from rowhouse.testing.databases import Databases
from rowhouse.testing.running_app import RunningApp, build
from tests.conftest import ROOT
from tests.sample_entities.clinic.models import (
    Appointment,
    AppointmentStatus,
    Attachment,
    Complaint,
    Invoice,
    Note,
    Passport,
    Pet,
    PetTag,
    Price,
    Tag,
)
from tests.sample_entities.shop.models import Book


def test_a_row_is_made_with_its_parents(client: TestClient, make: Make, admin: Headers) -> None:
    """The pet of a tag, and the owner of the pet; the answer is that of a GET."""
    row = make(PetTag)
    assert client.get(f"/api/v1/pet-tags/{row['id']}", headers=admin).json() == row
    assert [client.get(f"/api/v1/{path}", headers=admin).json()["total"] for path in ("pets", "owners")] == [1, 1]


@pytest.mark.parametrize("turn", [1, 2])
def test_every_test_begins_with_an_empty_database(client: TestClient, make: Make, turn: int) -> None:
    """Whatever the one before has stored."""
    make(Tag, name="same")
    assert client.get("/api/v1/tags").json()["total"] == 1
    assert turn in (1, 2)


def test_values_replace_what_is_derived(make: Make, body_of: BodyOf, user: Headers) -> None:
    """Also of columns that no client sets; what follows from them is put in order."""
    start = datetime(2031, 1, 31, 9, tzinfo=UTC)
    body = body_of(Appointment, start_time=start)
    assert datetime.fromisoformat(body["end_time"]) == start + timedelta(minutes=30)
    end = body_of(Appointment, end_time="2031-01-31T09:30:00Z")
    assert datetime.fromisoformat(end["start_time"]) == start
    row = make(Appointment, status=AppointmentStatus.DONE, booked_by_id=user.id, reason=None)
    assert (row["status"], row["booked_by_id"], row["reason"]) == ("done", user.id, None)
    assert make(User, role="vet", full_name="Vera")["full_name"] == "Vera"
    assert make(Pet, name="Rex", weight=3)["weight"] == 3


def test_a_read_only_entity_is_stored_by_a_session(client: TestClient, make: Make) -> None:
    """With the columns that no client could set."""
    row = make(Price)
    assert client.get("/api/v1/prices").json()["items"] == [row]
    assert row["revision"]
    note = make(Note, created_at=datetime(2020, 1, 31, tzinfo=UTC), text=None)
    assert (note["created_at"], note["text"]) == ("2020-01-31T00:00:00Z", None)
    assert note["author_id"]
    assert "pin" not in make(Complaint, pin=None)


def test_each_client_has_an_account_of_its_own(client_as: Callable[[str], TestClient], body_of: BodyOf) -> None:
    """Of the role that it asks for; an account can sign in with its password."""
    vet, user, other = client_as("vet"), client_as("user"), client_as("user")
    assert vet.post("/api/v1/invoices", json=body_of(Invoice)).status_code == 201
    assert user.post("/api/v1/invoices", json=body_of(Invoice)).status_code == 403
    stored = user.post("/api/v1/attachments", json=body_of(Attachment)).json()
    assert other.get(f"/api/v1/attachments/{stored['id']}").status_code == 404
    assert user.get(f"/api/v1/attachments/{stored['id']}").json() == stored


def test_headers_are_a_mapping(client: TestClient, user: Headers) -> None:
    """That can be merged, and that signs in again."""
    assert dict(user).keys() == {"Authorization"}
    assert len(user) == 1
    assert "X-Other" not in user
    assert user.email in repr(user)
    answer = client.post("/api/v1/auth/login", data={"username": user.email, "password": user.password})
    assert answer.status_code == 200
    assert client.get("/api/v1/users/me", headers={**user}).json()["id"] == user.id


def test_the_clock_stands_still(client: TestClient, user: Headers, make: Make, frozen_clock: FrozenClock) -> None:
    """Until a test moves it; tokens stay valid."""
    before = now()
    assert now() == before == frozen_clock.now
    frozen_clock.tick(days=400)
    assert now() - before == timedelta(days=400)
    assert client.get("/api/v1/users/me", headers=user).status_code == 200
    frozen_clock.move_to(datetime(2040, 1, 31, tzinfo=UTC))
    assert make(Tag)["created_at"] == "2040-01-31T00:00:00Z"
    with pytest.raises(ValueError, match="no time zone"):
        frozen_clock.move_to(datetime(2040, 1, 31))  # noqa: DTZ001  that is what it refuses


def test_statements_are_counted(
    client: TestClient,
    make: Make,
    rowhouse_app: RunningApp,
    count_statements: Callable[[], AbstractContextManager[Statements]],
) -> None:
    """Those of the fast path and those of sessions."""
    make(Tag)
    with count_statements() as statements:
        assert client.get("/api/v1/tags").status_code == 200
    assert 1 <= len(statements) <= 2
    assert all("tags" in statement for statement in statements)
    with count_statements() as statements, unit(rowhouse_app.app, write=False) as work:
        assert work.session.get(User, 0) is None
    assert len(statements) == 1


def test_a_script_finds_the_database_of_the_test(
    rowhouse_app: RunningApp, database_url: str, rowhouse_database: str
) -> None:
    """By the settings; `database_url` is another one, with every table and no row."""
    assert Settings().database_url == rowhouse_app.environment["DATABASE_URL"] != database_url
    assert database_url.startswith(rowhouse_database)
    engine = sa.create_engine(database_url)
    assert "appointments" in sa.inspect(engine).get_table_names()
    engine.dispose()


def test_rows_from_the_start_come_back(rowhouse_app: RunningApp, make: Make) -> None:
    """What a migration stores is there in each test."""
    make(Tag, name="from a migration")
    rowhouse_app._first_rows = rowhouse_app._rows()
    make(Tag)
    rowhouse_app.reset()
    assert [tag["name"] for tag in rowhouse_app.client.get("/api/v1/tags").json()["items"]] == ["from a migration"]
    rowhouse_app._first_rows = {}
    rowhouse_app.reset()
    with unit(rowhouse_app.app) as work:
        assert work.session.exec(select(User)).all() == []


@pytest.fixture
def says(rowhouse_app: RunningApp) -> Callable[[Any], None]:
    """Says what cannot be guessed."""

    def say(values: Any) -> None:
        rowhouse_app.contract_values = values

    return say


def test_what_is_said_is_used(make: Make, body_of: BodyOf, says: Callable[[Any], None]) -> None:
    """A value, a function of a number, or a function for all members; for parents too."""
    says(
        {"Pet": {"name": "Rex", "litter": lambda number: number % 3 + 1}, "Tag": lambda number: {"name": f"t{number}"}}
    )
    pets = [make(Pet) for _ in range(3)]
    assert {pet["name"] for pet in pets} == {"Rex"}
    assert {pet["litter"] for pet in pets} == {1, 2, 3}
    assert body_of(Tag)["name"].startswith("t")


def test_a_refused_body_names_the_place(make: Make, says: Callable[[Any], None]) -> None:
    """With the entity, the answer of the server and the body."""
    says({"Pet": {"weight": -1}})
    with pytest.raises(RefusedBodyError) as refused:
        make(Passport)
    for words in (
        "POST /api/v1/pets",
        "derived from Pet",
        "422",
        '"weight": -1',
        "contract_values",
        "tests/conftest.py",
    ):
        assert words in str(refused.value)


def test_rows_that_cannot_be_derived_are_named(
    make: Make, rowhouse_app: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A class that is not registered, and rows that need each other."""
    with pytest.raises(LookupError, match=r"books belongs to no registered class.*tests/conftest\.py"):
        make(Book)
    monkeypatch.setattr("rowhouse.testing.factory.NESTING", -1)
    with pytest.raises(UnguessableError, match=r"tags needs refer to each other.*tests/conftest\.py"):
        rowhouse_app.factory.parent(Tag.__table__)  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes


def test_an_application_of_its_own_settings_is_refused(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would work on another database than the test's; and one without registries is none of Rowhouse's."""
    url = databases.url("sqlite", "other")
    with pytest.raises(pytest.UsageError, match="did not read DATABASE_URL"):
        build(Project(ROOT, app="tests.testing.test_fixtures:own_settings", source="backend"), url)
    with pytest.raises(pytest.UsageError, match=r"was not made by rowhouse\.create_app"):
        build(Project(ROOT, app="fastapi:FastAPI", source="backend"), url)


def own_settings() -> Any:
    """An application that does not ask the environment."""
    from tests.sample_entities.clinic.main import create_app  # noqa: PLC0415  only this test needs it

    return create_app(Settings(database_url="sqlite:///never-opened.db"))


def test_a_step_into_a_time_that_is_taken_is_a_conflict(client: TestClient, make: Make, admin: Headers) -> None:
    """A cancelled appointment comes back only where nobody else has the vet; a finished one is over."""
    gone = make(Appointment, status=AppointmentStatus.CANCELLED)
    place = {name: gone[name] for name in ("vet_id", "start_time", "end_time")}
    rival = make(Appointment, **place)
    path = f"/api/v1/appointments/{gone['id']}/reopen"
    assert client.post(path, headers=admin).json()["code"] == "overlap"
    assert client.get(f"/api/v1/appointments/{gone['id']}", headers=admin).json() == gone
    assert client.post(f"/api/v1/appointments/{rival['id']}/cancel", headers=admin).status_code == 200
    assert client.post(path, headers=admin).json()["status"] == "requested"
