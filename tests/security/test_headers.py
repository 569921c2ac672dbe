"""Security headers of every kind of response, and headers that no response has (OWASP API8)."""

import re
from typing import Any

import pytest
from starlette.testclient import TestClient
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from rowhouse.cli.serve import server_options
from tests.conftest import ROOT
from tests.security.attacked_app import API, AttackedApp
from tests.security.response_kinds import KINDS, ask

EVIL = "evil.example"
HARDENED = {"x-content-type-options": "nosniff", "x-frame-options": "DENY", "referrer-policy": "no-referrer"}
POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
HSTS = "strict-transport-security"
PAGES = ("the pages", "the other pages")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_answer_is_hardened(served: AttackedApp, kind: str) -> None:
    """It has each header once. HSTS is sent over https only."""
    plain, encrypted = ask(served, kind), ask(served, kind, scheme="https")
    for answer in (plain, encrypted):
        for name, value in HARDENED.items():
            assert answer.headers.get_list(name) == [value]
        assert len(answer.headers.get_list("x-request-id")) == 1
        policies = answer.headers.get_list("content-security-policy")
        assert len(policies) == 1
        assert policies == [POLICY] or kind in PAGES
    assert HSTS not in plain.headers
    assert encrypted.headers.get_list(HSTS) == ["max-age=31536000"]


@pytest.mark.parametrize("kind", KINDS)
def test_no_response_names_the_software(served: AttackedApp, kind: str) -> None:
    """No product, no version, no traceback. `scripts/run` starts uvicorn without its name."""
    answer = ask(served, kind)
    assert {"server", "x-powered-by", "via"}.isdisjoint(answer.headers)
    if kind not in (*PAGES, "an asset"):
        words = re.compile(
            r"uvicorn|starlette|fastapi|sqlalchemy|sqlite|psycopg|python|Traceback|not for clients", re.IGNORECASE
        )
        assert words.search(answer.text) is None
    assert "-m rowhouse.cli.serve" in (ROOT / "scripts/server").read_text(encoding="utf-8")
    assert server_options([])["server_header"] is False


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_run_nothing_that_is_not_theirs(served: AttackedApp, page: str) -> None:
    """No `unsafe-inline`, no `unsafe-eval`, nothing from elsewhere.

    Scripts and styles come from this server or are allowed by their hash.
    """
    policy = ask(served, page).headers["content-security-policy"]
    directives = {part.split()[0]: part.split()[1:] for part in policy.split("; ")}
    assert "unsafe" not in policy
    assert "http" not in policy
    assert directives["default-src"] == directives["frame-ancestors"] == directives["base-uri"] == ["'none'"]
    for name in ("script-src", "style-src"):
        assert all(source == "'self'" or source.startswith("'sha256-") for source in directives[name])


@pytest.mark.parametrize(("proxy", "is_told"), [("10.0.0.1", True), ("203.0.113.9", False)])
def test_only_a_trusted_proxy_says_https(served: AttackedApp, proxy: str, *, is_told: bool) -> None:
    """Any client can send `X-Forwarded-Proto`. The application itself does not read it."""
    app: Any = served.app
    proxied: Any = ProxyHeadersMiddleware(app, trusted_hosts="10.0.0.1")
    behind = TestClient(proxied, client=(proxy, 5000))
    said = {"X-Forwarded-Proto": "https", "Forwarded": "proto=https", "X-Forwarded-Ssl": "on"}
    assert (HSTS in ask(served, "health", client=behind, more=said).headers) is is_told
    assert HSTS not in ask(served, "health", more=said).headers


@pytest.mark.parametrize("kind", KINDS)
def test_no_answer_repeats_the_host(served: AttackedApp, kind: str) -> None:
    """A forged `Host` has no effect: `Location` is a path."""
    answer = ask(served, kind, more={"Host": EVIL, "X-Forwarded-Host": EVIL, "X-Forwarded-Prefix": f"//{EVIL}"})
    assert EVIL not in answer.text
    assert EVIL not in str(answer.headers)
    if answer.status_code == 201:
        assert answer.headers["location"].startswith(f"{API}/categories/")


@pytest.mark.parametrize(
    "path",
    [f"//{EVIL}/", f"/{EVIL}", "/docs/", "/docs//", f"/\\{EVIL}", f"{API}/books//", "/%2f%2fx", f"{API}//{EVIL}/.."],
)
def test_nothing_redirects(attacked: AttackedApp, path: str) -> None:
    """So no path can redirect elsewhere."""
    answer = attacked.client.get(f"http://testserver{path}", follow_redirects=False)
    assert answer.status_code in (200, 404)
    assert "location" not in answer.headers
