"""No log and no response contains a secret, whatever fails and at every log level (OWASP API8)."""

import hashlib
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from httpx2 import Response
from pydantic import SecretStr
from sqlmodel import SQLModel
from starlette.testclient import TestClient

from rowhouse.auth.models import RefreshToken, User
from rowhouse.auth.routes import ProfileUpdate, RefreshRequest
from rowhouse.core.errors import RowhouseError
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.http.dependencies import SessionDep
from rowhouse.http.routing import Router
from tests.conftest import shop_database, unique
from tests.core.conftest import build_shop, kept_logging
from tests.databases import Databases
from tests.security.attacked_app import API

SECRETS = {
    "signing key": "hidden-signing-key-of-at-least-32-bytes",
    "administrator's password": "hidden-admin-password",
    "database": "hidden-database-password",
    "password": "hidden-password",
    "new password": "hidden-new-password",
    "wrong password": "hidden-wrong-password",
    "misplaced": "hidden-and-misplaced",
}
Capture = pytest.CaptureFixture[str]
MISPLACED = SECRETS["misplaced"]


class Session:
    """Calls every operation that handles a secret, and keeps the responses."""

    def __init__(self, client: TestClient) -> None:
        self.client = client
        self.answers: list[Response] = []
        self.tokens: list[str] = []

    def call(self, method: str, path: str, status: int, **options: Any) -> Response:
        """Send a request and require this status."""
        answer = self.client.request(method, path if path.startswith("/") else f"{API}/{path}", **options)
        assert answer.status_code == status, answer.text
        self.answers.append(answer)
        return answer

    def pair(self, path: str, **options: Any) -> dict[str, str]:
        """Return a new pair of tokens, the only response that contains secrets."""
        pair: dict[str, Any] = self.call("POST", path, 200, **options).json()
        self.answers.pop()
        self.tokens += [pair["access_token"], pair["refresh_token"]]
        return pair


@pytest.fixture
def _kept_logging() -> Iterator[None]:
    """Restore the configuration of the logs after a test."""
    with kept_logging():
        yield


@pytest.fixture(params=[True, False], ids=["json", "lines"])
def app(
    request: pytest.FixtureRequest, _kept_logging: None, capsys: Capture, databases: Databases, backend: str
) -> FastAPI:
    """The sample shop at log level debug, on a database with a password.

    It has routes that fail while they hold secrets.
    """
    router = Router()

    @router.post("/crash")
    def crash(body: RefreshRequest) -> None:
        given = body.refresh_token
        raise RuntimeError(f"failed with {len(given)} letters")

    @router.post("/crash-in-sql", policy=ANYONE)
    def crash_in_sql(body: ProfileUpdate, session: SessionDep) -> None:
        session.execute(sa.text("SELECT no_such_column FROM users WHERE email = :given"), {"given": body.full_name})

    url = shop_database(databases, backend)
    return build_shop(
        url.replace("app:@", f"app:{SECRETS['database']}@"),
        router,
        log_level="debug",
        log_json=request.param,
        access_log=True,
        jwt_secret=SecretStr(SECRETS["signing key"]),
        admin_email="admin@example.com",
        admin_password=SecretStr(SECRETS["administrator's password"]),
    )


def live(session: Session) -> None:
    """Sign up, sign in, refresh and change the password; fail at each; send secrets in wrong places."""
    email, password, wrong = f"{unique('secret')}@example.com", SECRETS["password"], SECRETS["wrong password"]
    account = {"email": email, "password": password, "full_name": "Some Body"}
    session.call("POST", "users", 201, json=account, headers={"Idempotency-Key": unique("key")})
    session.call("POST", "users", 409, json=account)
    session.call("POST", "auth/login", 401, data={"username": email, "password": wrong})
    pair = session.pair("auth/login", data={"username": email, "password": password})
    pair = session.pair("auth/refresh", json={"refresh_token": pair["refresh_token"]})
    bearer = {"Authorization": f"Bearer {pair['access_token']}"}
    session.call("GET", "users/me", 200, headers=bearer)
    change = {"current_password": wrong, "new_password": SECRETS["new password"]}
    session.call("POST", "users/me/password", 403, json=change, headers=bearer)
    session.call("POST", "users/me/password", 204, json={**change, "current_password": password}, headers=bearer)
    session.call("GET", "users/me", 401, headers=bearer)
    session.call("POST", "auth/refresh", 401, json={"refresh_token": pair["refresh_token"]})
    session.call("POST", "auth/logout", 204, json={"refresh_token": pair["refresh_token"]})
    admin = {"username": "admin@example.com", "password": SECRETS["administrator's password"]}
    bearer = {"Authorization": f"Bearer {session.pair('auth/login', data=admin)['access_token']}"}
    session.call("GET", "users", 200, headers=bearer)
    session.call("GET", "users/export", 200, headers=bearer)
    misplace(session, bearer)


def misplace(session: Session, bearer: dict[str, str]) -> None:
    """Send secrets as invalid values, which errors must not repeat."""
    account = {"email": "a@example.com", "password": "long-enough", "full_name": "x"}
    for value in ([MISPLACED], {"x": MISPLACED}, MISPLACED * 9, f"{MISPLACED}\x00", f"{MISPLACED}\ud800"):
        for member in ("password", "email", "role"):
            content = json.dumps({**account, member: value}).encode()
            session.call("POST", "users", 422, content=content, headers={"Content-Type": "application/json"})
    session.call(
        "POST", "users", 422, content=f'{{"password": "{MISPLACED}"', headers={"Content-Type": "application/json"}
    )
    session.call("POST", "auth/refresh", 422, json={"refresh_token": {"of": MISPLACED}})
    session.call("POST", "auth/refresh", 401, json={"refresh_token": MISPLACED})
    session.call("POST", "auth/login", 422, data={"password": MISPLACED})
    session.call("POST", "auth/login", 415, json={"password": MISPLACED, "username": "x"})
    session.call("POST", "auth/login", 401, data={"password": MISPLACED, "username": MISPLACED})
    session.call("GET", "users/me", 422, params={"token": MISPLACED}, headers=bearer)
    session.call("GET", f"books?title={MISPLACED}", 200)
    session.call(
        "GET", "users/me", 401, headers={"Authorization": f"Bearer {MISPLACED}", "Cookie": f"token={MISPLACED}"}
    )
    session.call(
        "POST",
        "categories/import",
        422,
        content=f"name,no\n{MISPLACED},1\n",
        headers={**bearer, "Content-Type": "text/csv"},
    )


def fail(session: Session) -> None:
    """Fail while holding secrets. The server logs the traceback like uvicorn."""
    for path, body in (("crash", {"refresh_token": MISPLACED}), ("crash-in-sql", {"full_name": MISPLACED})):
        with pytest.raises((RuntimeError, RowhouseError)) as raised:
            TestClient(session.client.app).post(f"{API}/{path}", json=body)
        logging.getLogger("uvicorn.error").error("Exception in ASGI application", exc_info=raised.value)
        session.call("POST", path, 500, json=body)


def stored_secrets(app: FastAPI) -> list[str]:
    """Return the hashes and fingerprints in the database."""
    with app.state.database.engine.connect() as connection:
        columns = [SQLModel.metadata.tables[model.__tablename__].c for model in (User, RefreshToken)]
        found = [
            *connection.scalars(sa.select(columns[0].hashed_password)),
            *connection.scalars(sa.select(columns[1].fingerprint)),
        ]
    assert len(found) >= 4
    return found


def test_no_secret_is_logged_or_returned(app: FastAPI, capsys: Capture) -> None:
    """Passwords, hashes, tokens, fingerprints and keys, at debug level, in success, rejection and failure."""
    with TestClient(app, raise_server_exceptions=False) as client:
        session = Session(client)
        live(session)
        fail(session)
        for path in ("/openapi.json", "/docs", "/redoc", "/health", "/ready", "/metrics", "/nowhere"):
            session.answers.append(client.get(path))
        secrets = [*SECRETS.values(), *session.tokens, *stored_secrets(app)]
    log = "".join(capsys.readouterr())
    told = "".join(f"{answer.status_code} {answer.headers} {answer.text}\n" for answer in session.answers)
    assert len(session.tokens) == 6
    assert "Traceback" in log
    assert log.count("crash-in-sql") >= 2
    for secret in secrets:
        assert secret not in log, secret
        assert secret not in told, secret


def test_no_secret_is_in_what_shows_the_settings() -> None:
    """Nor is the URL of the database."""
    settings = Settings(
        database_url=f"postgresql://rowhouse:{MISPLACED}@db/rowhouse",
        jwt_secret=SecretStr(SECRETS["signing key"]),
        admin_email="a@example.com",
        admin_password=SecretStr(MISPLACED),
    )
    assert "hidden" not in f"{settings!r} {settings}"


def test_a_stolen_table_of_keys_lets_guess_at_no_password(app: FastAPI) -> None:
    """The fingerprint of a request is keyed. A plain digest would allow fast guesses of the password."""
    key, password = unique("key"), SECRETS["password"]
    with TestClient(app) as client:
        body = {"email": f"{unique('keyed')}@example.com", "password": password, "full_name": "x"}
        sent = client.post(f"{API}/users", json=body, headers={"Idempotency-Key": key})
        assert sent.status_code == 201
        with app.state.database.engine.connect() as connection:
            statement = sa.text("SELECT fingerprint FROM idempotency_keys WHERE key = :key")
            (fingerprint,) = connection.scalars(statement, {"key": key})
    hashed = hashlib.sha256(f"{API}/users\n".encode() + sent.request.content).hexdigest()
    assert fingerprint != hashed
