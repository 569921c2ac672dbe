"""Texts that could become SQL, file paths, log lines or requests (OWASP API7, API8).

For formulas in exported cells see `tests/transfer/test_export.py`.
"""

import asyncio
import json
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.types import Message, Scope

from tests.conftest import unique
from tests.contract.list_model import written
from tests.contract.problems import faulty_members, problem
from tests.core.conftest import build, kept_logging
from tests.security.attacked_app import API, AttackedApp
from tests.test_architecture import NAMES, imported

SQL = ("'", "' OR '1'='1", "'; DROP TABLE users; --", "1) OR (1=1", "1 UNION SELECT hashed_password FROM users", "(SELECT 1)", "\\'", '"', "id\x00", "%27", "*", "$1", ":id", "%s",
       "{0}", "${7*7}", "{{7*7}}", "id--", "id/**/", "pg_sleep(9)", "hashed_password", "User.hashed_password", "__class__", "users.hashed_password")  # fmt: skip
REACHED = {
    "requests",
    "httpx",
    "httpx2",
    "aiohttp",
    "urllib3",
    "socket",
    "ftplib",
    "smtplib",
    "telnetlib",
    "paramiko",
    "subprocess",
    "pickle",
    "marshal",
    "shelve",
    "xml",
}


@pytest.mark.parametrize("word", SQL)
def test_no_name_is_sql(attacked: AttackedApp, word: str) -> None:
    """A name that is no column is rejected in every place."""
    queries: list[dict[str, str]] = [{"sort": word}, {"sort": f"-{word}"}, {"fields": word}, {"expand": word}, {word: "1"}, {f"title__{word}": "1"}, {f"{word}__lt": "1"}, {f"category__{word}": "1"}]  # fmt: skip
    queries += [{"any": word}, {"any": json.dumps([{word: 1}, {f"title__{word}": 1, f"category__{word}": 1}])}]
    with attacked.unchanged():
        for path in ("/books", "/users", "/bookings"):
            for query in queries:
                problem(attacked.client.get(f"{API}{path}", params=query, headers=attacked.admin), 422)
            problem(attacked.client.delete(f"{API}{path}/batch", params={"ids": word}, headers=attacked.admin), 422)
            problem(attacked.client.get(f"{API}{path}/export", params={"format": word}, headers=attacked.admin), 422)
            for query in ({"group_by": word}, {"min": word}, {"sort": word}):
                problem(attacked.client.get(f"{API}{path}/aggregate", params=query, headers=attacked.admin), 422)
        for tail, media_type in (("batch", "application/json"), ("import", "application/x-ndjson")):
            headers = {**attacked.admin, "Content-Type": media_type}
            answer = attacked.client.post(f"{API}/books/{tail}", params={"on": word}, content="[{}]", headers=headers)
            assert faulty_members(answer) == {"on"}


@pytest.mark.parametrize("word", SQL)
def test_no_value_is_sql(attacked: AttackedApp, word: str) -> None:
    """A value is text: it matches only rows that contain it, and is stored unchanged."""
    with attacked.unchanged():
        joined = json.dumps([{"title__contains": word, "author": word}, {"category__name__in": [word]}])
        for name in ("title", "title__contains", "title__in", "search", "category__name", "category__name__in", "any"):
            query = {name: joined if name == "any" else written([word]) if name.endswith("__in") else word}
            for tail, nothing in (("", []), ("/aggregate", [{"count": 0}])):
                answer = attacked.client.get(f"{API}/books{tail}", params=query)
                if "\x00" in word:
                    problem(answer, 422)
                else:
                    assert (answer.status_code, answer.json()["items"]) == (200, nothing), (name, answer.text)
        if '"' in word:
            problem(attacked.client.get(f"{API}/books", params={"title__in": word}), 422)
    if "\x00" not in word:
        name = f"{unique('shelf')} {word}"
        made = attacked.client.post(f"{API}/categories", json={"name": name}, headers=attacked.admin)
        found = attacked.client.get(f"{API}/categories", params={"name": name}).json()["items"]
        assert [row["name"] for row in found] == [made.json()["name"]] == [name]


@pytest.mark.parametrize("wildcard", ["%", "_", "a%", "_____", "[a-z]", "*", "\\", "\\%", "%%%%%%%%"])
def test_no_value_is_a_pattern(attacked: AttackedApp, wildcard: str) -> None:
    """The wildcards of `LIKE` match only themselves."""
    name = unique("plain")
    assert attacked.client.post(f"{API}/categories", json={"name": name}, headers=attacked.admin).status_code == 201
    for operator in ("contains", "startswith", "endswith"):
        found = attacked.client.get(f"{API}/categories", params={f"name__{operator}": wildcard, "name": name})
        assert (found.status_code, found.json()["items"]) == (200, [])


TRAVERSALS = (
    "../../../pyproject.toml", "..%2f..%2f..%2fpyproject.toml", "%2e%2e/%2e%2e/etc/passwd", "..%5c..%5cetc%5cpasswd", "/etc/passwd", "%2fetc%2fpasswd", "//etc/passwd",
    "....//....//etc/passwd", "..%252f..%252fetc%252fpasswd", "%00", "favicon.png%00.js", ".", "%2e", "x" * 5000, "~root", "C:%5cwindows", "swagger-ui.css/..%2f..%2f__init__.py",
)  # fmt: skip


@pytest.mark.parametrize("path", TRAVERSALS, ids=lambda path: path[:20])
def test_no_path_is_a_file_of_ours(attacked: AttackedApp, path: str) -> None:
    """No path leads out of the folder of assets."""
    answer = attacked.client.get(f"http://testserver/docs/assets/{path}")
    problem(answer, 404, "not_found")
    assert "root:" not in answer.text


# A server never imports a developer's commands, which run ruff, squawk, git and generators, nor the load test and the
# tests' plugin.
COMMANDS = tuple(
    f"backend/rowhouse/{name}"
    for name in (
        "cli/adopt/",
        "cli/client.py",
        "cli/lint_migrations.py",
        "cli/migrate.py",
        "cli/scaffold/",
        "load/",
        "testing/",
    )
)


def test_the_server_fetches_nothing(attacked: AttackedApp) -> None:
    """It has no HTTP client that an address in a body could use. It neither runs programs nor unpickles objects."""
    served = [name for name in NAMES if not name.startswith(COMMANDS)]
    found = {name: imported(name) & REACHED for name in served if imported(name) & REACHED}
    # One ends a connection to the database that is there, the other finds out whether its port is free. None connects.
    assert found == {
        name: {"socket"} for name in ("backend/rowhouse/cli/serve.py", "backend/rowhouse/db/statement_monitor.py")
    }
    for address in (
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "gopher://localhost:6379/_FLUSHALL",
    ):
        body = {**attacked.running_app.entity("books").body(), "cover_image": address}
        answer = attacked.client.post(f"{API}/books", json=body, headers=attacked.admin)
        assert (answer.status_code, answer.json()["cover_image"]) == (201, address)


FORGED = '{"event": "request", "path": "/forged"}'


@pytest.mark.parametrize("log_json", [True, False])
def test_nothing_begins_a_line_of_the_log(
    sqlite_url: str, capsys: pytest.CaptureFixture[str], *, log_json: bool
) -> None:
    """A path, a method or a request id with line breaks or terminal sequences."""
    with kept_logging():
        app = build(sqlite_url, log_level="info", log_json=log_json, access_log=True)
        with TestClient(app) as client:
            capsys.readouterr()
            for ending in ("%0A", "%0D%0A", "%0D", "%1B[2J", "%E2%80%A8", "%C2%85"):
                client.get(f"/{ending}{FORGED}")
        written = capsys.readouterr().err
    assert len([line for line in written.splitlines() if line]) == 6
    assert "\x1b" not in written
    assert not any(line.startswith(FORGED[:10]) for line in written.splitlines())


@pytest.mark.parametrize(
    "given", [b"good\nforged: 1", b"good\n", b"\n", b"good\r\nSet-Cookie: a=b", b"a\x00", b"\x1b[2J"]
)
def test_no_request_id_is_two_lines(attacked: AttackedApp, given: bytes) -> None:
    """Even if a server passes one on: it would become a header of the response."""
    sent: list[Message] = []
    app: Any = attacked.app
    scope: Scope = {"type": "http", "method": "GET", "path": "/health", "raw_path": b"/health", "root_path": "", "query_string": b"", "headers": [(b"x-request-id", given)]}  # fmt: skip

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    (made,) = [value for name, value in sent[0]["headers"] if name == b"x-request-id"]
    assert len(made) == 32
    assert made.isalnum()
