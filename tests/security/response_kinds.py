"""A request for every kind of response, for tests of what every response must have."""

from typing import Any

from httpx2 import Response
from starlette.testclient import TestClient

from tests.conftest import ADMIN_EMAIL, unique
from tests.contract.entity_client import Headers
from tests.security.attacked_app import API, ORIGIN, AttackedApp

PREFLIGHT = {"Origin": ORIGIN, "Access-Control-Request-Method": "POST"}
CSV_FILE = {"Content-Type": "text/csv"}
KINDS: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "a row": (200, "GET", f"{API}/categories/{{id}}", {}),
    "a page": (200, "GET", f"{API}/categories", {}),
    "a new row": (201, "POST", f"{API}/categories", {"json": {"name": "{name}"}}),
    "nothing": (204, "DELETE", f"{API}/categories/{{id}}", {}),
    "not modified": (304, "GET", f"{API}/categories/{{id}}", {"headers": {"If-None-Match": "*"}}),
    "a step by hand": (200, "GET", f"{API}/users/me", {}),
    "a stream": (200, "GET", f"{API}/categories/export", {}),
    "an import": (422, "POST", f"{API}/categories/import", {"content": b"name\n,", "headers": CSV_FILE}),
    "no credentials": (401, "GET", f"{API}/vehicles", {"headers": {"Authorization": "Bearer x"}}),
    "missing": (404, "GET", f"{API}/categories/0", {}),
    "no path": (404, "GET", f"{API}/nowhere", {}),
    "no path at the root": (404, "GET", "/nowhere", {}),
    "no method": (405, "DELETE", f"{API}/categories", {}),
    "no method at the root": (405, "POST", "/docs", {}),
    "a conflict": (409, "POST", f"{API}/users", {"json": {"email": ADMIN_EMAIL, "password": "x" * 8, "full_name": "x"}}),
    "stale": (412, "PATCH", f"{API}/categories/{{id}}", {"json": {"name": "x"}, "headers": {"If-Match": '"x"'}}),
    "too large": (413, "POST", f"{API}/categories", {"content": b"x" * 2048, "headers": {"Content-Type": "application/json"}}),
    "another type": (415, "POST", f"{API}/categories", {"content": b"x"}),
    "malformed": (422, "POST", f"{API}/categories", {"json": {}}),
    "a failure": (500, "GET", f"{API}/crash", {}),
    "a preflight": (200, "OPTIONS", f"{API}/categories", {"headers": PREFLIGHT}),
    "a refused preflight": (400, "OPTIONS", f"{API}/categories", {"headers": {**PREFLIGHT, "Origin": "null"}}),
    "health": (200, "GET", "/health", {}),
    "readiness": (200, "GET", "/ready", {}),
    "the document": (200, "GET", "/openapi.json", {}),
    "the head of it": (200, "HEAD", "/openapi.json", {}),
    "the pages": (200, "GET", "/docs", {}),
    "the other pages": (200, "GET", "/redoc", {}),
    "an asset": (200, "GET", "/docs/assets/swagger-ui.css", {}),
    "no asset": (404, "GET", "/docs/assets/nothing.js", {}),
}  # fmt: skip


def ask(
    served: AttackedApp,
    kind: str,
    *,
    scheme: str = "http",
    client: TestClient | None = None,
    more: Headers | None = None,
) -> Response:
    """Return a response of this kind, for a page of the allowed origin."""
    status, method, path, options = KINDS[kind]
    row = served.running_app.entity("categories").make_plain() if "{id}" in path else {}
    sent = {**options, "headers": {"Origin": ORIGIN, **served.admin, **options.get("headers", {}), **(more or {})}}
    if "json" in options:
        sent["json"] = {name: unique("n") if value == "{name}" else value for name, value in options["json"].items()}
    url = f"{scheme}://testserver{path.format(**row)}"
    answer = (client or served.client).request(method, url, follow_redirects=False, **sent)
    assert answer.status_code == status, answer.text
    return answer
