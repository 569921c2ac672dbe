"""Who may use the pages, and when a session begins and ends."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

from rowhouse.core.clock import now, set_clock
from rowhouse.core.errors import UnavailableError
from tests.admin.browser import Browser, Page
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, PASSWORD, unique

COOKIES = {"rowhouse_admin_access", "rowhouse_admin_refresh"}


def new_account(client: TestClient, admin: dict[str, str], role: str = "admin") -> tuple[str, int]:
    """The address and the id of a new account."""
    email = f"{unique('clerk')}@example.com"
    body = {"email": email, "password": PASSWORD, "full_name": "Clerk"}
    key = client.post("/api/v1/users", json=body).json()["id"]
    assert client.patch(f"/api/v1/users/{key}", json={"role": role}, headers=admin).status_code == 200
    return email, key


def new_session(client: TestClient, admin: dict[str, str]) -> tuple[Browser, str, int]:
    """A browser of a new administrator, with the account's address and id."""
    email, key = new_account(client, admin)
    browser = Browser(client)
    assert "Administration" in browser.sign_in(email, PASSWORD).words
    return browser, email, key


def is_signed_out(page: Page) -> bool:
    """Whether a page asks to sign in."""
    return page.path == "/admin/login"


def test_an_anonymous_visitor_sees_no_page(client: TestClient) -> None:
    """Every address leads to the login, which leads back; the assets are there for all."""
    browser = Browser(client)
    page = browser.get("/books?search=x&size=5")
    assert is_signed_out(page)
    assert "Your session has ended" not in page.words
    back = page.send("/login", {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD})
    assert str(back.response.url).endswith("/admin/books?search=x&size=5")
    assert is_signed_out(Browser(client).get(""))
    assert Browser(client).get("/static/admin.css").status == 200
    assert Browser(client).get("/static/other.css").status == 404


def test_a_wrong_password_is_said(client: TestClient) -> None:
    """With the words of the API, and without what was typed."""
    page = Browser(client).sign_in(ADMIN_EMAIL, "wrong-password")
    assert "The e-mail address or the password is wrong." in page.text("faults")
    assert "wrong-password" not in page.html
    assert ADMIN_EMAIL in page.html
    assert "Enter the e-mail address and the password." in Browser(client).sign_in("", "").text("faults")


def test_guesses_are_slowed_down_as_at_the_login(client: TestClient, admin: dict[str, str]) -> None:
    """By the same counters: what fails here counts there."""
    email, _ = new_account(client, admin)
    browser = Browser(client)
    for _ in range(10):
        assert "is wrong" in browser.sign_in(email, "guess-guess").words
    page = browser.sign_in(email, PASSWORD)
    assert "Too many failed attempts. Try again in" in page.words
    assert client.post("/api/v1/auth/login", data={"username": email, "password": PASSWORD}).status_code == 429


def test_another_role_is_refused(client: TestClient, admin: dict[str, str]) -> None:
    """At the login, and in a session whose account loses its role: 403 for each page and each form."""
    email, _ = new_account(client, admin, role="driver")
    browser = Browser(client)
    page = browser.sign_in(email, PASSWORD)
    assert (page.status, page.text("faults")[-37:]) == (403, "Your account may not use these pages.")
    assert COOKIES.isdisjoint(browser.cookies)
    clerk, _, key = new_session(client, admin)
    form = clerk.get("/categories/new")
    client.patch(f"/api/v1/users/{key}", json={"role": "user"}, headers=admin)
    assert clerk.get("/categories").status == 403
    assert clerk.get("").status == 403
    assert "may not use these pages" in clerk.get("").words
    assert form.send("/new", {"value.name": unique("refused")}).status == 403


@pytest.mark.parametrize("token", [None, "", "no-token", "another"])
def test_a_form_without_its_token_is_refused(client: TestClient, admin: dict[str, str], token: str | None) -> None:
    """Also with the token of another account; nothing is created."""
    browser, name = new_session(client, admin)[0], unique("forged")
    if token == "another":
        token = new_session(client, admin)[0].get("/categories/new").form("/new").values["_token"]
    values = {"value.name": name} | ({} if token is None else {"_token": token})
    refused = browser.post("/admin/categories/new", values)
    assert refused.status == 403
    assert "Load the page again" in refused.words
    assert client.get(f"/api/v1/categories?name={name}").json()["total"] == 0


def without_session(browser: Browser) -> None:
    """End the session, as its week does."""
    for name in COOKIES:
        browser.cookies.pop(name)


def test_a_form_outlives_its_session(client: TestClient, admin: dict[str, str]) -> None:
    """It is kept while its account signs in again, and is sent then; nothing that was typed is lost."""
    browser, email, _ = new_session(client, admin)
    name = unique("kept")
    form = browser.get("/categories/new")
    without_session(browser)
    asked = form.send("/new", {"value.name": name, "value.description": 'two\nlines "<&>'})
    assert (asked.status, "Your session has ended" in asked.words) == (200, True)
    wrong = asked.send("/new", {"username": email, "password": "wrong-password"})
    assert "is wrong" in wrong.text("faults")
    assert "wrong-password" not in wrong.html
    assert client.get(f"/api/v1/categories?name={name}").json()["total"] == 0
    assert "Created." in wrong.send("/new", {"password": PASSWORD}).words
    (row,) = client.get(f"/api/v1/categories?name={name}").json()["items"]
    assert row["description"] == 'two\nlines "<&>'


def test_a_kept_form_is_for_its_account_and_browser(client: TestClient, admin: dict[str, str]) -> None:
    """403 for another account, and for a form of another site, which must not choose who signs in."""
    browser, email, _ = new_session(client, admin)
    name = unique("kept")
    form = browser.get("/categories/new")
    without_session(browser)
    asked = form.send("/new", {"value.name": name})
    assert asked.send("/new", {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}).status == 403
    stranger = Browser(client)
    stranger.get("/login")
    account = {"username": email, "password": PASSWORD}
    forged = {**form.form("/new").values, **account, "value.name": name}
    assert stranger.post("/admin/categories/new", forged).status == 403
    assert COOKIES.isdisjoint(stranger.cookies)
    driver, _ = new_account(client, admin, role="driver")
    without_session(browser)
    refused = asked.send("/new", {"username": driver, "password": PASSWORD})
    assert "may not use these pages" in refused.text("faults")
    assert COOKIES.isdisjoint(browser.cookies)
    assert client.get(f"/api/v1/categories?name={name}").json()["total"] == 0


@pytest.mark.parametrize(
    "path", ["/categories/import", "/categories/new", "/categories/delete", "/categories/1/edit", "/logout", "/login"]
)
def test_a_form_without_a_session_is_refused(client: TestClient, path: str) -> None:
    """Without a session no form does anything, and the login needs a token as well."""
    assert Browser(client).post(f"/admin{path}", {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}).status == 403


def test_the_cookies_are_for_the_pages_alone(client: TestClient) -> None:
    """No script reads them, no other path gets them, and over https nothing else sends them."""
    for scheme, is_secure in (("http", False), ("https", True)):
        browser = Browser(client)
        form = browser.get("/login").form("/login")
        values = {**form.values, "username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
        answer = browser.ask("POST", f"{scheme}://testserver/admin/login", data=values)
        assert answer.status_code == 303
        set_cookies = answer.headers.get_list("set-cookie")
        assert {cookie.partition("=")[0] for cookie in set_cookies} >= COOKIES
        for cookie in set_cookies:
            assert "HttpOnly" in cookie
            assert "Path=/admin;" in cookie
            assert "SameSite=lax" in cookie
            assert ("Secure" in cookie) is is_secure


def test_an_expired_access_token_is_renewed(client: TestClient, admin: dict[str, str]) -> None:
    """With the refresh token, which is spent; a week later the session has ended."""
    browser, _, _ = new_session(client, admin)
    before = dict(browser.cookies)
    later = now() + timedelta(minutes=20)
    with set_clock(lambda: later):
        assert browser.get("/categories").status == 200
        assert {name for name in COOKIES if browser.cookies[name] != before[name]} == COOKIES
        browser.cookies["rowhouse_admin_access"] = "expired"
        assert browser.ask("GET", "/admin/categories/export").text.startswith("id,")
        assert browser.cookies["rowhouse_admin_access"] != "expired"
    much_later = now() + timedelta(days=8)
    with set_clock(lambda: much_later):
        page = browser.get("/categories")
        assert is_signed_out(page)
        assert "Your session has ended. Sign in again." in page.words
    assert COOKIES.isdisjoint(browser.cookies)


def test_a_disabled_account_is_out_at_once(client: TestClient, admin: dict[str, str]) -> None:
    """Not when its token runs out; and it cannot come back."""
    browser, email, key = new_session(client, admin)
    client.patch(f"/api/v1/users/{key}", json={"is_active": False}, headers=admin)
    page = browser.get("/categories")
    assert is_signed_out(page)
    assert "disabled" in browser.sign_in(email, PASSWORD).text("faults")


def test_a_changed_password_ends_the_session(client: TestClient, admin: dict[str, str]) -> None:
    """At the next page."""
    browser, email, _ = new_session(client, admin)
    login = client.post("/api/v1/auth/login", data={"username": email, "password": PASSWORD}).json()
    changed = client.post(
        "/api/v1/users/me/password",
        json={"current_password": PASSWORD, "new_password": "another-password"},
        headers={"Authorization": f"Bearer {login['access_token']}"},
    )
    assert changed.status_code == 204
    assert is_signed_out(browser.get("/categories"))


def test_a_sign_out_ends_the_session_in_the_api(client: TestClient, admin: dict[str, str]) -> None:
    """Its refresh token is revoked too."""
    browser, _, _ = new_session(client, admin)
    refresh_token = browser.cookies["rowhouse_admin_refresh"]
    page = browser.get("")
    form = next(form for form in page.reader.forms if form.action == "/admin/logout")
    out = browser.post(form.action, form.values)
    assert "You are signed out." in out.words
    assert COOKIES.isdisjoint(browser.cookies)
    assert client.post("/api/v1/auth/refresh", json={"refresh_token": refresh_token}).status_code == 401


def test_a_login_leads_to_no_other_site(client: TestClient) -> None:
    """Whatever the address says; and who is signed in needs no login."""
    for address in ("https://evil.example/admin", "//evil.example", "/administrators", "/admin.evil.example"):
        browser = Browser(client)
        page = browser.get(f"/login?next={address}").send(
            "/login", {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
        )
        assert page.path == "/admin"
    assert browser.get("/login").path == "/admin"


def test_an_address_without_a_page(shop_browser: Browser) -> None:
    """404, 405, or what the API says of a key, with a page of its own."""
    assert shop_browser.get("/books/no-number").status == 422
    for path in ("/nothing", "/books/1/nothing", "/books/new/more", "/books/999999/edit", "/books/999999/history/x"):
        assert shop_browser.get(path).status == 404, path
    token = shop_browser.get("/books/new").form("/new").values["_token"]
    assert shop_browser.post("/admin/books/export", {"_token": token}).status == 405
    assert shop_browser.ask("PUT", "/admin/books").status_code == 405
    assert shop_browser.post("/admin/vehicles/1/steps/fly", {"_token": token}).status == 404
    head = shop_browser.ask("HEAD", "/admin/books")
    assert (head.status_code, head.content) == (200, b"")
    assert shop_browser.get("/books/lookup?column=nothing").status == 404


def test_a_body_has_limits(shop_browser: Browser) -> None:
    """Those of the API."""
    token = shop_browser.get("/categories/new").form("/new").values["_token"]
    assert shop_browser.post("/admin/categories/new", {"_token": token, "value.name": "x" * 2_000_000}).status == 413


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_a_full_server_says_so(
    backend: str, make_app: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """503, and the session stays."""
    client = make_app(backend)
    browser = Browser(client)
    browser.sign_in()
    before = dict(browser.cookies)

    def full(*_arguments: object, **_options: object) -> None:
        raise UnavailableError

    monkeypatch.setattr("rowhouse.auth.authenticator.decode_token", full)
    page = browser.get("/categories")
    assert page.status == 503
    assert page.response.headers["retry-after"] == "1"
    assert "at its limit" in page.words
    assert browser.cookies == before
    browser.cookies.pop("rowhouse_admin_access")
    monkeypatch.setattr("rowhouse.auth.service.rotate", full)
    assert browser.get("/categories").status == 503
