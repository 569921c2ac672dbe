"""Logs are one JSON object a line, and never contain a body, a header or a query string."""

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from starlette.testclient import TestClient

from rowhouse.core.logging_config import configure_logging
from rowhouse.core.settings import Settings
from rowhouse.http.routing import Router
from tests.core.conftest import Serve, build_shop, kept_logging

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Restore the configuration of the logs after a test."""
    with kept_logging():
        yield


def parsed(text: str) -> list[dict[str, Any]]:
    """Return the parsed lines of a log. A line that is not a JSON object is an error."""
    return [json.loads(line) for line in text.splitlines()]


def fail(secret: str) -> None:
    """Log a traceback of a function that holds a secret."""
    try:
        int(f"broken{secret[6:]}")
    except ValueError:
        logging.getLogger("uvicorn.error").exception("failed, %d letters", len(secret))


def test_a_request_is_one_line(serve: Serve, capsys: Capture) -> None:
    """With everything that an operator needs to find it."""
    serve(log_level="info", access_log=True).get("/health", headers={"X-Request-ID": "mine"})
    (line,) = [line for line in parsed(capsys.readouterr().err) if line["event"] == "request"]
    assert {name: line[name] for name in ("method", "path", "status", "request_id", "level")} == {
        "method": "GET", "path": "/health", "status": 200, "request_id": "mine", "level": "info",
    }  # fmt: skip
    assert line["duration_ms"] >= 0
    assert line["timestamp"].endswith("Z")


def test_what_is_logged_on_the_way_names_the_request(serve: Serve, capsys: Capture) -> None:
    """Also in the worker thread."""
    probes = Router()
    seen = structlog.get_logger("probe")

    @probes.get("/probe", status_code=204)
    def probe() -> None:
        seen.info("in the thread")

    client = serve(probes, log_level="info", access_log=True)
    assert client.get("/api/v1/probe", headers={"X-Request-ID": "mine"}).status_code == 204
    (line,) = [line for line in parsed(capsys.readouterr().err) if line["event"] == "in the thread"]
    assert line["request_id"] == "mine"


def test_nothing_secret_is_logged(sqlite_url: str, capsys: Capture) -> None:
    """No body, header or query string, of a request that succeeds, is rejected or fails."""
    app = build_shop(sqlite_url, log_level="debug", access_log=True)
    calls: list[tuple[str, str, dict[str, Any]]] = [
        (
            "POST",
            "/api/v1/users",
            {"json": {"email": "hidden@example.com", "password": "hidden-one", "full_name": "H"}},
        ),
        (
            "POST",
            "/api/v1/users",
            {"json": {"email": "hidden@example.com", "password": "hidden-one", "full_name": "H"}},
        ),
        ("POST", "/api/v1/users", {"json": {"password": "hidden"}}),
        ("POST", "/api/v1/auth/login", {"data": {"username": "hidden@example.com", "password": "hidden-one"}}),
        ("POST", "/api/v1/auth/login", {"data": {"username": "hidden@example.com", "password": "hidden-two"}}),
        ("POST", "/api/v1/auth/refresh", {"json": {"refresh_token": "hidden"}}),
        ("GET", "/api/v1/books", {"params": {"title": "hidden"}}),
        ("GET", "/api/v1/books?hidden=1", {}),
        ("GET", "/api/v1/users/me", {"headers": {"Authorization": "Bearer hidden", "X-Request-ID": "hidden header"}}),
    ]
    with TestClient(app) as client:
        statuses = [client.request(method, path, **options).status_code for method, path, options in calls]
    assert statuses == [201, 409, 422, 200, 401, 401, 200, 422, 401]
    text = capsys.readouterr().err
    assert len([line for line in parsed(text) if line["event"] == "request"]) == len(calls)
    assert "hidden" not in text


def test_a_traceback_is_one_line(capsys: Capture) -> None:
    """Without local variables."""
    configure_logging(Settings())
    fail("hidden")
    text = capsys.readouterr().err
    (line,) = parsed(text)
    assert (line["event"], line["level"]) == ("failed, 6 letters", "error")
    assert "ValueError: invalid literal" in line["exception"]
    assert "hidden" not in text


def test_lines_for_reading(capsys: Capture) -> None:
    """Without colours and local variables."""
    configure_logging(Settings(log_json=False))
    fail("hidden")
    structlog.get_logger("any").info("hello", number=1)
    text = capsys.readouterr().err
    assert "ValueError: invalid literal" in text
    assert "hello" in text
    assert "number=1" in text
    assert not any(word in text for word in ("hidden", "\x1b"))


@pytest.mark.parametrize(("level", "words"), [("info", ["said", "warned"]), ("error", [])])
def test_only_what_matters_is_logged(capsys: Capture, level: str, words: list[str]) -> None:
    """By `LOG_LEVEL`, for structlog and the standard library, including uvicorn."""
    logging.getLogger("uvicorn.error").setLevel(logging.DEBUG)  # uvicorn gives it a level of its own
    configure_logging(Settings(log_level=level))
    logging.getLogger("any").info("said")
    logging.getLogger("uvicorn.error").debug("whispered")
    logging.getLogger("uvicorn.access").error("said with the query string")
    structlog.get_logger("other").debug("whispered")
    structlog.get_logger("other").warning("warned")
    assert [line["event"] for line in parsed(capsys.readouterr().err)] == words


def test_the_access_log_can_be_off(serve: Serve, capsys: Capture) -> None:
    """By a setting."""
    serve(log_level="info", access_log=False).get("/health")
    assert [line["event"] for line in parsed(capsys.readouterr().err)] == ["ready"]
