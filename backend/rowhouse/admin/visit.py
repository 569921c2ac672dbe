"""One request to `/admin`: its session, its form, its addresses and its responses."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, tzinfo
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlencode
from zoneinfo import ZoneInfo

from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from rowhouse.admin.entity import ROW_WORDS, Entity
from rowhouse.admin.fields import local_text
from rowhouse.admin.internal_api import Answer, Api, ApiError
from rowhouse.admin.session import NOTICE, ZONE, Account, Session
from rowhouse.core.errors import NotAuthenticatedError, PermissionDeniedError
from rowhouse.core.logging_config import OWN_POLICY
from rowhouse.core.security import Caller
from rowhouse.requests.paths import prefix_of

if TYPE_CHECKING:
    from rowhouse.admin.site import Site

ROOT = "/admin"
SEE_OTHER = 303
RETRY_AFTER = "retry-after"
# No inline script or style, no asset, frame or form of elsewhere (CSP level 3). The empty icon is a data: URL.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store"}
# Notices after a redirect, by the word in their cookie.
NOTICES = {
    "created": "Created.",
    "changed": "Changed.",
    "unchanged": "Nothing was changed.",
    "none-chosen": "No rows were chosen.",
    "deleted": "Deleted.",
    "restored": "Restored.",
    "taken": "Done.",
    "imported": "The file was imported. Rows created:",
    "ended": "Your session has ended. Sign in again.",
    "signed-out": "You are signed out.",
}
Query = Iterable[tuple[str, str]]


class Visit:
    """What every page needs."""

    def __init__(self, site: "Site", request: Request, session: Session, api: Api, parts: Sequence[str]) -> None:
        self.site = site
        self.request = request
        # The segments of the address below `/admin`.
        self.parts = parts
        self.session = session
        self.api = api
        self.base = f"{prefix_of(request.scope)}{ROOT}"
        self.form = FormData()
        self.zone = zone_of(request.cookies.get(ZONE, ""))

    @property
    def account(self) -> Account:
        """The account that is signed in.

        Raises:
            NotAuthenticatedError: nobody is.
        """
        if self.session.account is None:
            raise NotAuthenticatedError(self.session.end)
        return self.session.account

    @property
    def caller(self) -> Caller:
        """The account as policies see it."""
        return self.account.caller

    @property
    def zone_name(self) -> str:
        """The name of the reader's time zone."""
        return str(self.zone)

    def instant(self, value: str) -> str:
        """Return an instant in the reader's time zone."""
        return local_text(value, self.zone).replace("T", " ").partition(".")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The parameters of the address, in their order."""
        return self.request.query_params.multi_items()

    def text(self, name: str) -> str:
        """Return a text of the form, with the line ends of the API; empty without it."""
        value = self.form.get(name)
        return value.replace("\r\n", "\n") if isinstance(value, str) else ""

    def url(self, *parts: str, query: Query = ()) -> str:
        """Return the address of a page, below the prefix of the application."""
        path = "/".join((self.base, *(quote(part, safe="") for part in parts)))
        encoded = urlencode(list(query))
        return f"{path}?{encoded}" if encoded else path

    @property
    def here(self) -> str:
        """The address of this page, without its parameters."""
        return self.url(*self.parts) if self.parts else self.base

    def list_url(self, entity: Entity, query: Query = ()) -> str:
        """Return the address of a list."""
        return self.url(entity.slug, query=query)

    def row_url(self, entity: Entity, key: str, *parts: str) -> str:
        """Return the address of a row."""
        return self.url(entity.slug, segment_of(key), *parts)

    def entities(self) -> list[Entity]:
        """Return the entities that the caller may list."""
        return [entity for entity in self.site.entities.values() if entity.allows(self.caller, "list")]

    def render(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """Return a page."""
        word, _, detail = unquote(self.session.cookie(NOTICE)).partition(":")
        notice = NOTICES.get(word, "")
        if word:
            self.session.changed[NOTICE] = ""
        html = self.site.templates.get_template(template).render(
            visit=self,
            site=self.site,
            account=self.session.account,
            token=self.session.form_token(self.site.secret),
            notice=notice,
            notice_detail=detail,
            **context,
        )
        return self.finish(HTMLResponse(html, status, headers=HEADERS))

    def refusal(self, status: int, detail: str, *, headers: Mapping[str, str]) -> Response:
        """Return the page of an error. Of its headers a browser needs `Retry-After`."""
        response = self.render("error.html", status=status, code=status, detail=detail)
        response.headers.update({name: text for name, text in headers.items() if name.lower() == RETRY_AFTER})
        return response

    def redirect(self, url: str, *, notice: str = "") -> Response:
        """Return a redirect to a page, which shows the notice."""
        if notice:
            self.session.changed[NOTICE] = quote(notice, safe="")
        return self.finish(RedirectResponse(url, SEE_OTHER, headers=HEADERS))

    def finish(self, response: Response) -> Response:
        """Return a response with the cookies of the session and with the content policy of the pages."""
        self.write_cookies(response)
        self.request.scope["state"][OWN_POLICY] = True
        return response

    def write_cookies(self, response: Response) -> None:
        """Write the cookies of the session into a response."""
        self.session.write(response, path=self.base, is_secure=self.request.scope["scheme"] == "https")

    def success(self, answer: Answer) -> Answer:
        """Return an answer of success.

        Raises:
            ApiError: it is an error.
        """
        if not answer.is_success:
            raise ApiError(answer)
        return answer

    def check_form(self) -> None:
        """Require the token of the form.

        Raises:
            PermissionDeniedError: 403.
        """
        self.session.check_form(self.text("_token"), self.site.secret)

    def check_browser(self) -> None:
        """Require the token of a form of this browser, of whichever account.

        Raises:
            PermissionDeniedError: 403.
        """
        self.session.check_browser(self.text("_token"), self.site.secret)

    def check_role(self) -> None:
        """Require a role that may use the pages.

        Raises:
            NotAuthenticatedError: nobody is signed in.
            PermissionDeniedError: 403.
        """
        if self.caller.role not in self.site.roles:
            raise PermissionDeniedError("Your account may not use these pages.")


def zone_of(name: str) -> tzinfo:
    """Return a time zone by the name that the browser has put into a cookie; UTC for an unknown one."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def segment_of(key: str) -> str:
    """Return the segment of an address for a key. It differs from the words of the pages."""
    return f"~{key}" if key in ROW_WORDS or key.startswith("~") else key


def key_of(segment: str) -> str:
    """Return the key of a segment."""
    return segment.removeprefix("~")


def without(query: Query, *names: str) -> list[tuple[str, str]]:
    """Return the parameters without these."""
    return [(name, value) for name, value in query if name not in names]
