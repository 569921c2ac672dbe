"""A browser without scripts: it keeps its own cookies, follows redirects, reads forms and sends them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import unquote, urlsplit

from httpx2 import Response
from starlette.testclient import TestClient

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD

REDIRECTS = range(301, 309)


@dataclass
class Form:
    """A form of a page, with the values that a browser would send. `kinds` has the types of its inputs."""

    action: str
    method: str
    values: dict[str, str] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    options: dict[str, list[str]] = field(default_factory=dict)


class Reader(HTMLParser):
    """Reads the forms, the links and the elements with an id of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self.texts: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._open: list[tuple[str, str]] = []
        self._form = Form("", "")
        self._area = self._select = self._link = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Read the attributes of an element."""
        given = {name: value or "" for name, value in attrs}
        self.tags.append((tag, given))
        name, value = given.get("name", ""), given.get("value", "")
        if tag not in ("input", "meta", "link", "br"):
            self._open.append((tag, given.get("id", "")))
        if tag == "form":
            self._form = Form(given["action"], given["method"])
            self.forms.append(self._form)
        elif tag == "a":
            self._link = given.get("href", "")
        elif tag == "option":
            options = self._form.options[self._select]
            options.append(value)
            if "selected" in given or len(options) == 1:
                self._form.values[self._select] = value
        elif tag in ("input", "textarea", "select"):
            self._read_input(tag, name, given)

    def _read_input(self, tag: str, name: str, given: dict[str, str]) -> None:
        kind = given.get("type", "text") if tag == "input" else tag
        self._form.kinds[name] = kind
        if kind == "select":
            self._select, self._form.options[name] = name, []
        elif kind not in ("checkbox", "file") or "checked" in given:
            self._area = name if tag == "textarea" else ""
            self._form.values[name] = given.get("value", "on" if kind == "checkbox" else "")

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        if tag == "textarea":  # a browser drops the first line break
            self._form.values[self._area] = self._form.values[self._area].removeprefix("\n")
            self._area = ""
        if tag == "a":
            self._link = ""
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Read a text."""
        if self._area:
            self._form.values[self._area] += data
        if self._link and data.strip():
            self.links.setdefault(data.strip(), self._link)
        for _, name in self._open:
            if name:
                self.texts[name] = f"{self.texts.get(name, '')}{data}"


class Page:
    """A page that has arrived."""

    def __init__(self, browser: "Browser", response: Response) -> None:
        self.browser = browser
        self.response = response
        self.status = response.status_code
        self.path = unquote(urlsplit(str(response.url)).path)
        self.html = response.text
        self.reader = Reader(self.html)

    def text(self, name: str) -> str:
        """The text of the element with this id."""
        return " ".join(self.reader.texts.get(name, "").split())

    @property
    def words(self) -> str:
        """All text of the content."""
        return self.text("content")

    def form(self, ending: str) -> Form:
        """The form whose address has this ending."""
        found = [form for form in self.reader.forms if form.action.endswith(ending) and "logout" not in form.action]
        assert found, (ending, self.status, self.html)
        return found[-1]

    def link(self, text: str) -> str:
        """The address of the link with this text."""
        assert text in self.reader.links, (text, self.reader.links)
        return self.reader.links[text]

    def send(self, ending: str, values: Mapping[str, str] | None = None, **options: Any) -> "Page":
        """Send a form with these values instead of its own."""
        form = self.form(ending)
        return self.browser.post(form.action, {**form.values, **(values or {})}, **options)


class Browser:
    """One person's browser."""

    def __init__(self, client: TestClient, base: str = "/admin") -> None:
        self.client = client
        self.base = base
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, url: str, **options: Any) -> Response:
        """Send one request, and keep the cookies of the response."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {**options.pop("headers", {}), **({"cookie": cookie} if cookie else {})}
        response = self.client.request(method, url, headers=headers, follow_redirects=False, **options)
        self.client.cookies.clear()
        for header in response.headers.get_list("set-cookie"):
            for name, morsel in SimpleCookie(header).items():
                self.cookies.pop(name, None)
                if morsel.value:
                    self.cookies[name] = morsel.value
        return response

    def _page(self, response: Response) -> Page:
        while response.status_code in REDIRECTS:
            response = self.ask("GET", response.headers["location"])
        return Page(self, response)

    def get(self, path: str) -> Page:
        """Open a page below the pages' own address, or a whole address."""
        return self._page(self.ask("GET", path if path.startswith(self.base) else f"{self.base}{path}"))

    def post(self, url: str, values: Mapping[str, Any], **options: Any) -> Page:
        """Send values."""
        return self._page(self.ask("POST", url, data=values, **options))

    def sign_in(self, email: str = ADMIN_EMAIL, password: str = ADMIN_PASSWORD) -> Page:
        """Sign in."""
        return self.get("/login").send("/login", {"username": email, "password": password})
