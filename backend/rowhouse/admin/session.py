"""Signs accounts in and out, and protects forms against requests that another site makes the browser send (CSRF).

A session is the account's own of the API: its access token and its refresh token, in cookies that no script reads and
that only `/admin` receives. It ends with the account's: a disabled account, a changed password or a logout ends it at
the next request.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from rowhouse.admin.internal_api import Answer, Api, ApiError
from rowhouse.auth.models import caller_of
from rowhouse.core.errors import NotAuthenticatedError, PermissionDeniedError
from rowhouse.core.security import Caller, sign, verify

ACCESS, REFRESH, FORM, ZONE, NOTICE = (
    f"rowhouse_admin_{name}" for name in ("access", "refresh", "form", "zone", "notice")
)
TOKEN_FIELD = "_token"  # noqa: S105  # nosec B105  # the name of a form's field
KIND = "admin_form"
FORM_ENCODED = {"content-type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True, slots=True)
class Account:
    """The account that is signed in."""

    email: str
    caller: Caller


@dataclass(slots=True)
class Session:
    """The session of one request. `changed` has cookies to set; an empty value deletes one."""

    cookies: Mapping[str, str]
    account: Account | None = None
    changed: dict[str, str] = field(default_factory=dict)
    # Why the session has ended, if it has.
    end: str = ""

    def cookie(self, name: str) -> str:
        """Return a cookie as it will be after the response."""
        return self.changed.get(name, self.cookies.get(name, ""))

    def close(self, reason: str = "") -> None:
        """Forget the account and its tokens."""
        self.account, self.end = None, reason
        self.changed |= {ACCESS: "", REFRESH: ""}

    def keep(self, pair: Mapping[str, Any]) -> None:
        """Keep a new pair of tokens."""
        self.changed |= {ACCESS: pair["access_token"], REFRESH: pair["refresh_token"]}

    def form_token(self, secret: str) -> str:
        """Return the token of this browser's forms. It is signed for the account and for a cookie of the browser."""
        if not self.cookie(FORM):
            self.changed[FORM] = secrets.token_urlsafe(32)
        return sign(self._claims(), kind=KIND, secret=secret)

    def check_form(self, token: str, secret: str) -> None:
        """Require the token of a form.

        Raises:
            PermissionDeniedError: 403 for a form of another browser, another account or another site.
        """
        self._check(token, secret, self._claims())

    def check_browser(self, token: str, secret: str) -> None:
        """Require the token of a form of this browser, of whichever account.

        Raises:
            PermissionDeniedError: 403 for a form of another browser or another site.
        """
        self._check(token, secret, {"browser": self.cookie(FORM)})

    def _check(self, token: str, secret: str, own: Mapping[str, str]) -> None:
        try:
            claims = verify(token, kind=KIND, secret=secret)
        except NotAuthenticatedError:
            claims = {}
        same = [hmac.compare_digest(str(claims.get(name, "")), value) for name, value in own.items()]
        if not all(same) or not own["browser"]:
            raise PermissionDeniedError("This form is not from this session. Load the page again, then send it again.")

    def _claims(self) -> dict[str, str]:
        account = "" if self.account is None else str(self.account.caller.id)
        return {"browser": self.cookie(FORM), "account": account}

    def write(self, response: Response, *, path: str, is_secure: bool) -> None:
        """Write the changed cookies into a response."""
        for name, value in self.changed.items():
            options: dict[str, Any] = {"path": path, "secure": is_secure, "httponly": True, "samesite": "lax"}
            response.set_cookie(name, value, max_age=None if value else 0, **options)


class Accounts:
    """The accounts of the API: `prefix` is that of the registry with the login."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    async def open(self, api: Api, cookies: Mapping[str, str]) -> tuple[Session, Api]:
        """Return the session of a request and the API as its account sees it. Renews an access token that has expired.

        Raises:
            ApiError: the server cannot tell now, for example because it is full.
        """
        session = Session(cookies)
        if session.cookie(ACCESS):
            await self._identify(session, api)
        if session.account is None and session.cookie(REFRESH):
            await self._renew(session, api)
        return session, self.api_of(session, api) if session.account else api

    def api_of(self, session: Session, api: Api) -> Api:
        """Return the API as the account of a session sees it."""
        return api.signed_in(session.cookie(ACCESS))

    async def _identify(self, session: Session, api: Api) -> None:
        try:
            answer = await api.signed_in(session.cookie(ACCESS)).call("GET", f"{self._prefix}/users/me")
        except NotAuthenticatedError as error:
            session.end = error.detail
            return
        if answer.is_success:
            me = answer.json()
            session.account = Account(me["email"], caller_of(me["id"], me["role"]))
        elif answer.status == PermissionDeniedError.status:
            session.close(str(answer.problem()["detail"]))
        else:
            raise ApiError(answer)

    async def _renew(self, session: Session, api: Api) -> None:
        answer = await api.post_json(f"{self._prefix}/auth/refresh", {"refresh_token": session.cookie(REFRESH)})
        if answer.is_success:
            session.keep(answer.json())
            await self._identify(session, api)
        elif answer.status in (NotAuthenticatedError.status, PermissionDeniedError.status):
            session.close(str(answer.problem()["detail"]))
        else:
            raise ApiError(answer)

    async def sign_in(self, session: Session, api: Api, *, body: str) -> Answer:
        """Sign in with the API's own login, which slows guesses down. `body` is its encoded form."""
        answer = await api.call("POST", f"{self._prefix}/auth/login", body=body.encode(), headers=FORM_ENCODED)
        if answer.is_success:
            session.keep(answer.json())
            await self._identify(session, api)
        return answer

    async def sign_out(self, session: Session, api: Api) -> None:
        """End the session, here and in the API."""
        await api.post_json(f"{self._prefix}/auth/logout", {"refresh_token": session.cookie(REFRESH)})
        session.close()
