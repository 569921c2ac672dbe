"""The account of a token is remembered, and each request checks it with its first statement (decision 0074)."""

import enum
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from typing import Any

import httpx2
import psycopg
import pytest
import sqlalchemy as sa
from fastapi import FastAPI, Response
from pydantic import AwareDatetime, SecretStr
from sqlmodel import Field, col
from starlette.testclient import TestClient

import rowhouse
from rowhouse import ADMIN, SIGNED_IN, Caller, CRUDBase, Entity, Registry, Router, SessionDep, UnitDep, include_accounts
from rowhouse.auth import authenticator as authentication
from rowhouse.core.errors import ConnectionLostError, RowhouseError
from rowhouse.core.settings import Settings
from rowhouse.db.assumption import Assumption
from rowhouse.db.compiled import EVERYTHING
from rowhouse.db.unit_of_work import UnitOfWork
from tests.auth.conftest import API, Account, make_account, stored
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, QUIET, sign_in, unique
from tests.databases import Databases
from tests.fast_client import QuickClient
from tests.sample_entities.metadata import new_metadata
from tests.statement_counter import all_statements_sent

metadata = new_metadata()
NOTES, DRAFTS = f"{API}/notes", f"{API}/drafts"


class Size(enum.StrEnum):
    """A native enumeration of PostgreSQL."""

    SMALL = "small"
    LARGE = "large"


class Base(Entity, registry=sa.orm.registry(metadata=metadata)):
    """`Entity` in a metadata of its own."""


class Note(Base, table=True):
    """Everyone with an account reads and writes it; a low number is refused by the database."""

    __table_args__ = (sa.CheckConstraint("number >= 0", name="not_negative"),)

    title: str = Field(max_length=40, unique=True)
    number: int = 0


class Draft(Base, table=True):
    """Its author reads and writes it."""

    title: str = Field(max_length=40)
    author_id: int = Field(foreign_key="users.id", index=True)


class Page(Base, table=True):
    """Administrators write it."""

    title: str = Field(max_length=40)


class Parcel(Base, table=True):
    """The database or SQLAlchemy fills most of its columns, and its values have types of many kinds."""

    name: str = Field(max_length=40)
    code: str | None = Field(default=None, sa_column=sa.Column(sa.String(9), default=sa.func.upper("abc")))
    number: int | None = Field(default=None, sa_column=sa.Column(sa.Integer, default=lambda: 7))
    kind: str | None = Field(default=None, sa_column=sa.Column(sa.String(9), server_default="plain"))
    price: Decimal = Field(default=Decimal(0), max_digits=8, decimal_places=2)
    weight: float = 0.0
    size: Size = Size.SMALL
    due: date | None = None
    sent: AwareDatetime | None = Field(default=None, sa_type=sa.DateTime(timezone=True))
    marks: dict[str, Any] = Field(default_factory=dict, sa_column=sa.Column(sa.JSON, nullable=False))
    label: uuid.UUID = Field(default=uuid.UUID(int=9))
    seal: bytes = b""
    fragile: bool = False


class DraftCRUD(CRUDBase[Draft]):
    """A scope with values of its own."""

    def scope(self, caller: Caller | None) -> sa.ColumnElement[bool] | None:
        """Hide what is called so."""
        own = super().scope(caller)
        return sa.and_(sa.true() if own is None else own, self.table.c.title != "hidden")


router = Router(prefix="/notes")


@router.get("/hand/nothing", policy=SIGNED_IN)
def do_nothing(unit: UnitDep) -> dict[str, Any]:
    """Run no statement."""
    return {"caller": unit.caller and unit.caller.role}


@router.post("/hand/refused", policy=SIGNED_IN)
def refuse(response: Response) -> dict[str, Any]:
    """Respond with an error, without a statement."""
    response.status_code = 409
    return {}


@router.get("/hand/as/{key}", policy=SIGNED_IN)
def read_as(key: int, unit: UnitDep) -> dict[str, Any]:
    """Take the part of an administrator before the first statement, as support staff does."""
    unit.caller = Caller(id=0, role="admin", is_admin=True)
    rows = unit.session.execute(sa.select(sa.func.count()).select_from(Draft).where(col(Draft.id) == key)).scalar()
    return {"rows": rows, "caller": unit.caller.role}


@router.post("/hand/session", policy=SIGNED_IN)
def write(unit: UnitDep, session: SessionDep) -> dict[str, Any]:
    """Write by the session, which begins the transaction itself."""
    title = f"of {unit.caller and unit.caller.id}"
    session.add(Note(title=title))
    session.flush()
    return {"title": title}


def application(url: str) -> FastAPI:
    """Return the application."""
    registry = Registry(API)
    include_accounts(registry)
    registry.register(Note, read=SIGNED_IN, write=SIGNED_IN)
    registry.register(Draft, owner="author_id", crud=DraftCRUD)
    registry.register(Page, read=SIGNED_IN, write=ADMIN)
    registry.register(Parcel, read=SIGNED_IN, write=SIGNED_IN, history=True)
    registry.include(router)
    settings = Settings(database_url=url, admin_email=ADMIN_EMAIL, admin_password=SecretStr(ADMIN_PASSWORD), **QUIET)
    return rowhouse.create_app(registry, settings=settings, metadata=metadata, title="Notes")


@pytest.fixture(scope="module")
def client(databases: Databases, backend: str) -> Iterator[TestClient]:
    """A client of the application."""
    with QuickClient(application(databases.prepared(backend, "assumed_accounts", metadata.create_all))) as client:
        yield client


@pytest.fixture
def app(client: TestClient) -> FastAPI:
    """The application."""
    assert isinstance(client.app, FastAPI)
    return client.app


@pytest.fixture
def caller(client: TestClient) -> Account:
    """An account that the process remembers."""
    account = make_account(client)
    assert client.get(NOTES, headers=account.headers).status_code == 200
    return account


def note(client: TestClient, caller: Account, **values: Any) -> str:
    """Create a note and return its path."""
    made = client.post(NOTES, json={"title": unique("note"), **values}, headers=caller.headers)
    assert made.status_code == 201, made.text
    return made.headers["Location"]


ENDS = {
    "disabled": ("UPDATE users SET is_active = FALSE WHERE id = :id", 403, "account_disabled"),
    "signed out": ("UPDATE users SET token_version = token_version + 1 WHERE id = :id", 401, "not_authenticated"),
    "deleted": ("DELETE FROM users WHERE id = :id", 401, "not_authenticated"),
}
Ask = Callable[[TestClient, str, str, dict[str, str]], httpx2.Response]
ASKED: dict[str, Ask] = {
    "get": lambda client, path, _, who: client.get(path, headers=who),
    "get missing": lambda client, _, __, who: client.get(f"{NOTES}/999999", headers=who),
    "get malformed": lambda client, _, __, who: client.get(f"{NOTES}/x", headers=who),
    "list": lambda client, _, __, who: client.get(NOTES, headers=who),
    "create": lambda client, _, __, who: client.post(NOTES, json={"title": unique()}, headers=who),
    "create malformed": lambda client, _, __, who: client.post(NOTES, json={}, headers=who),
    "update": lambda client, path, _, who: client.patch(path, json={"number": 7}, headers=who),
    "update stale": lambda client, path, _, who: client.patch(
        path, json={"number": 7}, headers={**who, "If-Match": '"x"'}
    ),
    "update to a taken title": lambda client, path, other, who: client.patch(path, json={"title": other}, headers=who),
    "update to a low number": lambda client, path, _, who: client.patch(path, json={"number": -1}, headers=who),
    "update too much": lambda client, path, _, who: client.patch(path, json={"number": 10**30}, headers=who),
    "delete": lambda client, path, _, who: client.delete(path, headers=who),
    "delete many": lambda client, path, _, who: client.delete(
        f"{NOTES}/batch?ids={path.rpartition('/')[2]}", headers=who
    ),
    "not permitted": lambda client, _, __, who: client.post(f"{API}/pages", json={"title": "x"}, headers=who),
    "by hand": lambda client, _, __, who: client.get(f"{NOTES}/hand/nothing", headers=who),
    "by session": lambda client, _, __, who: client.post(f"{NOTES}/hand/session", headers=who),
    "refused by hand": lambda client, _, __, who: client.post(f"{NOTES}/hand/refused", headers=who),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("asked", ASKED)
def test_an_account_that_has_ended_is_refused_at_once(
    client: TestClient, app: FastAPI, caller: Account, asked: str, end: str
) -> None:
    """Whatever else is wrong with the request, and nothing has changed."""
    writer = make_account(client)
    path, taken = note(client, writer, number=3), unique("taken")
    note(client, writer, title=taken)
    before = client.get(path, headers=writer.headers).json()
    statement, status, code = ENDS[end]
    stored(app, statement, id=caller.id)
    for _ in range(2):
        told = ASKED[asked](client, path, taken, caller.headers)
        assert (told.status_code, told.json().get("code")) == (status, code)
    assert client.get(path, headers=writer.headers).json() == before


def test_an_account_with_another_role_is_judged_by_it(client: TestClient, app: FastAPI, caller: Account) -> None:
    """At once, and in both directions."""
    page = f"{API}/pages"

    def statuses() -> list[int]:
        """Ask for what an administrator may do."""
        made = client.post(page, json={"title": "a"}, headers=caller.headers)
        path = made.headers.get("Location", f"{page}/1")
        changed = client.patch(path, json={"title": "b"}, headers=caller.headers)
        return [made.status_code, changed.status_code, client.delete(path, headers=caller.headers).status_code]

    assert statuses() == [403, 403, 403]
    stored(app, "UPDATE users SET role = 'admin' WHERE id = :id", id=caller.id)
    assert statuses() == [201, 200, 204]
    draft = client.post(f"{API}/drafts", json={"title": "mine"}, headers=sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
    assert client.get(draft.headers["Location"], headers=caller.headers).status_code == 200
    stored(app, "UPDATE users SET role = 'user' WHERE id = :id", id=caller.id)
    # First the row that the former role would see: the statement finds it, and the account is no longer the same.
    assert client.get(draft.headers["Location"], headers=caller.headers).status_code == 404
    assert client.patch(draft.headers["Location"], json={"title": "x"}, headers=caller.headers).status_code == 404
    assert statuses() == [403, 403, 403]
    assert client.get(f"{NOTES}/hand/nothing", headers=caller.headers).json() == {"caller": "user"}


def test_a_request_for_one_row_is_one_statement(client: TestClient, caller: Account) -> None:
    """Besides those of the transaction. A row that is not found takes two more: the account, and the row again."""
    path, change, new = note(client, caller), {"number": 1}, {"title": unique()}
    asked = ("GET", None, 1), ("PATCH", change, 1), ("DELETE", None, 1), ("GET", None, 3), ("POST", new, 1)
    for method, body, number in asked:
        with all_statements_sent() as sent:
            client.request(method, NOTES if body is new else path, json=body, headers=caller.headers)
        assert len([one for one in sent if not one.startswith(("BEGIN", "COMMIT"))]) == number, sent


PARCELS: list[dict[str, Any]] = [
    {"name": "empty"},
    {"name": "nothing", "code": None, "number": None, "kind": None, "due": None, "sent": None},
    {
        "name": "O'Neill \\ 😀",
        "code": "x",
        "number": -1,
        "kind": "fine",
        "price": 123456.7,
        "weight": 0.1,
        "size": "large",
        "due": "0001-01-01",
        "sent": "9999-12-29T23:59:59.999999Z",
        "marks": {"a": ["'", None, 1.5]},
        "label": str(uuid.UUID(int=2**127)),
        "seal": "AP8n",
        "fragile": True,
    },
]


@pytest.mark.parametrize("body", PARCELS, ids=lambda body: str(body["name"]))
def test_a_row_is_stored_alike_with_the_account_and_after_it(client: TestClient, body: dict[str, Any]) -> None:
    """Each value has the type of its column, and defaults apply. The first request of an account reads it."""
    admin = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
    own = make_account(client)
    made, number = [], []
    for _ in range(6):
        with all_statements_sent() as sent:
            told = client.post(f"{API}/parcels", json=body, headers=own.headers)
        assert told.status_code == 201, told.text
        row = told.json()
        assert client.get(told.headers["Location"], headers=admin).json() == row
        (entry,) = client.get(f"{told.headers['Location']}/history", headers=admin).json()["items"]
        assert entry["after"] == row
        made.append({name: value for name, value in row.items() if name not in {"id", "created_at", "updated_at"}})
        number.append(len([one for one in sent if not one.startswith(("BEGIN", "COMMIT"))]))
    assert number == [3, 2, 2, 2, 2, 2]
    assert all(row == made[0] for row in made)
    assert {name: made[0][name] for name in body} == body


def test_a_session_begins_after_the_account_is_read(client: TestClient, caller: Account) -> None:
    """As any other work on the database."""
    with all_statements_sent() as sent:
        assert client.post(f"{NOTES}/hand/session", headers=caller.headers).status_code == 200
    first = next(one for one in sent if not one.startswith("BEGIN"))
    assert "users" in first
    assert not first.startswith("INSERT")


def test_a_route_may_take_another_caller(client: TestClient, caller: Account) -> None:
    """The account that is checked is that of the token."""
    for _ in range(2):
        told = client.get(f"{NOTES}/hand/as/1", headers=caller.headers)
        assert (told.status_code, told.json()["caller"]) == (200, "admin")


def test_errors_of_the_first_statement_are_those_of_any_other(client: TestClient, caller: Account) -> None:
    """The account is read after them, and the transaction goes on."""
    path, taken = note(client, caller, number=3), unique("taken")
    note(client, caller, title=taken)
    for body, code in (({"title": taken}, "duplicate"), ({"number": -1}, "conflict")):
        told = client.patch(path, json=body, headers=caller.headers)
        assert (told.status_code, told.json()["code"]) == (409, code)
    assert client.get(path, headers=caller.headers).json()["number"] == 3


def test_the_rows_of_an_owner(client: TestClient, caller: Account) -> None:
    """The condition on the account stands beside that on the rows."""
    other = make_account(client)
    for who in (caller, other):
        client.get(f"{API}/drafts", headers=who.headers)
    for title, status in (("seen", 200), ("hidden", 404)):
        path = client.post(f"{API}/drafts", json={"title": title}, headers=caller.headers).headers["Location"]
        for _ in range(2):
            assert client.get(path, headers=caller.headers).status_code == status
            assert client.get(path, headers=other.headers).status_code == 404
            assert client.patch(path, json={"title": title}, headers=caller.headers).status_code == status
            assert client.patch(path, json={"title": title}, headers=other.headers).status_code == 404
        assert client.delete(path, headers=other.headers).status_code == 404
        assert client.delete(path, headers=caller.headers).status_code == (204 if status == 200 else 404)


def test_an_administrator_reads_the_table_of_accounts(client: TestClient) -> None:
    """The condition is on a row of the same table."""
    admin = sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD)
    user = make_account(client)
    path = f"{API}/users/{user.id}"
    for name in ("One", "Two"):
        assert client.patch(path, json={"full_name": name}, headers=admin).json()["full_name"] == name
        assert client.get(path, headers=admin).json()["full_name"] == name
    assert client.get(f"{API}/users/999999", headers=admin).status_code == 404
    assert client.delete(path, headers=admin).status_code == 204


def test_the_number_of_remembered_accounts_is_limited(
    client: TestClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is forgotten is read again."""
    monkeypatch.setattr(authentication, "REMEMBERED_TOKENS", 1)
    authenticator = authentication.Authenticator(app.state.settings)
    tokens = [make_account(client).headers["Authorization"].partition(" ")[2] for _ in range(2)]
    for token, statements in ((tokens[0], 1), (tokens[0], 0), (tokens[1], 1), (tokens[1], 0), (tokens[0], 1)):
        work = UnitOfWork(app.state.database, write=False, authenticator=authenticator)
        with all_statements_sent() as sent:
            work.authenticate(token)
        assert len(sent) == statements
        with work:
            pass


class Failing:
    """A statement that the driver cannot run."""

    writes, text = False, "SELECT"

    def __init__(self, error: Exception) -> None:
        self._error = error

    def execute(self, *_: Any) -> Any:
        """Raise the error."""
        raise self._error


@pytest.mark.parametrize(
    ("error", "expected", "confirmed"),
    [
        (sqlite3.OperationalError("disk I/O error"), RowhouseError, True),
        (psycopg.OperationalError("the server closed the connection"), ConnectionLostError, False),
    ],
)
def test_a_read_that_fails(app: FastAPI, error: Exception, expected: type[Exception], *, confirmed: bool) -> None:
    """The account is read after it, unless the connection is lost."""
    read: list[UnitOfWork] = []
    caller = Caller(id=1, role="user")

    def confirm(work: UnitOfWork) -> Caller:
        read.append(work)
        return caller

    statement: Any = Failing(error)

    def ask() -> None:
        with UnitOfWork(app.state.database, write=False) as work:
            work.assume(Assumption(caller, authentication.IS_UNCHANGED, {}, confirm))
            work.run_for_caller(lambda _: statement, {}, EVERYTHING)

    with pytest.raises(expected):
        ask()
    assert bool(read) is confirmed
