"""The ASGI application of `/admin`: finds the page, opens the session, checks form and role, and shows errors."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from rowhouse.admin import changes, home, lists, rows, transfers
from rowhouse.admin.entity import ROW_WORDS, Entity, entities_of
from rowhouse.admin.internal_api import Api, ApiError, sentence_of
from rowhouse.admin.session import REFRESH, Accounts, Session
from rowhouse.admin.visit import Visit, key_of
from rowhouse.core.errors import NotAuthenticatedError, NotFoundError, PermissionDeniedError, RowhouseError
from rowhouse.core.settings import Settings
from rowhouse.metrics.recorder import Metrics
from rowhouse.requests.paths import encoded_segments, route_path
from rowhouse.requests.request_limits import check_headers, limit_body

Page = Callable[..., Awaitable[Response]]
STATIC = {"admin.css": "text/css; charset=utf-8", "admin.js": "text/javascript; charset=utf-8"}
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
# Pages by the method and the word of their address: of the site, of an entity, of a row.
SITE_PAGES: Mapping[tuple[str, str], Page] = {
    ("GET", "login"): home.show_login,
    ("POST", "login"): home.sign_in,
    ("POST", "logout"): home.sign_out,
}
ENTITY_PAGES: Mapping[tuple[str, str], Page] = {
    ("GET", ""): lists.show_list,
    ("GET", "new"): changes.show_new,
    ("POST", "new"): changes.create,
    ("POST", "delete"): changes.delete_many,
    ("GET", "deleted"): lists.show_deleted,
    ("GET", "lookup"): lists.look_up,
    ("GET", "export"): transfers.export,
    ("GET", "import"): transfers.show_import,
    ("POST", "import"): transfers.import_file,
}
ROW_PAGES: Mapping[tuple[str, str], Page] = {
    ("GET", ""): rows.show_row,
    ("GET", "edit"): changes.show_edit,
    ("POST", "edit"): changes.change,
    ("GET", "delete"): changes.ask_delete,
    ("POST", "delete"): changes.delete,
    ("POST", "restore"): changes.restore,
    ("GET", "history"): rows.show_history,
}
# Pages for everybody.
OPEN = frozenset({home.show_login, home.sign_in})
# Forms that are not kept while their account signs in again: one holds a file, the other ends the session.
NOT_KEPT = frozenset({transfers.import_file, home.sign_out})


class Site:
    """The pages of one application. `prefix` is that of the registry with the accounts."""

    def __init__(self, app: FastAPI, settings: Settings, *, prefix: str) -> None:
        self.title = app.title
        self.roles = frozenset(settings.admin_roles)
        self.secret = settings.jwt_secret.get_secret_value()
        self.accounts = Accounts(prefix)
        # None if nothing is counted.
        self.metrics: Metrics | None = app.state.metrics
        self._settings = settings
        paths = [getattr(route, "path", "") for route in app.routes]
        found = entities_of(app.state.registries, app.state.cruds, paths)
        self.entities = {entity.slug: entity for entity in found}
        self._by_resource = {(entity.resource.model, _prefix_of(entity)): entity for entity in found}
        self.templates = Environment(
            loader=PackageLoader("rowhouse.admin"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        folder = files("rowhouse.admin") / "static"
        self._static = {name: (folder / name).read_bytes() for name in STATIC}
        self.version = hashlib.sha256(b"".join(self._static.values())).hexdigest()[:12]

    def entity_of(self, other: Entity, model: type[Any]) -> Entity:
        """Return the entity of a class in the registry of another entity."""
        return self._by_resource[model, _prefix_of(other)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the ASGI application."""
        segments = encoded_segments(scope) or route_path(scope).split("/")
        parts = [part for part in segments[2:] if part]  # behind the empty one and `admin`
        limit = self._settings.max_body_bytes
        if parts[1:] == ["import"]:
            limit += self._settings.max_import_bytes
        receive = limit_body(receive, limit, seconds=self._settings.body_seconds)
        response = self._asset(parts) or await self._page(Request(scope, receive, send), parts, limit)
        await response(scope, receive, send)

    def _asset(self, parts: list[str]) -> Response | None:
        if parts[:1] == ["static"] and "/".join(parts[1:]) in STATIC:
            return Response(self._static[parts[1]], headers=FOREVER, media_type=STATIC[parts[1]])
        return None

    async def _page(self, request: Request, parts: list[str], limit: int) -> Response:
        """Return the page, or the page of its error."""
        api = Api(request.scope)
        visit = Visit(self, request, Session(request.cookies), api, parts)
        try:
            visit.session, visit.api = await self.accounts.open(api, request.cookies)
            if visit.session.account is not None:
                request.scope["state"]["account"] = visit.session.account.caller.id
            page, arguments = self._find("GET" if request.method == "HEAD" else request.method, parts)
            if request.method not in ("GET", "HEAD"):
                return await self._sent(visit, page, arguments, limit)
            if page not in OPEN:
                _require_account(visit)
            return await page(visit, *arguments)
        except NotAuthenticatedError:
            had_session = bool(visit.request.cookies.get(REFRESH))
            visit.session.close()
            notice = "ended" if had_session else ""
            return visit.redirect(visit.url("login", query=home.way_back(visit)), notice=notice)
        except ApiError as error:
            return visit.refusal(error.answer.status, sentence_of(error.answer.problem()), headers=error.answer.headers)
        except RowhouseError as error:
            return visit.refusal(error.status, error.detail, headers=error.headers)
        except HTTPException as error:
            return visit.refusal(error.status_code, str(error.detail), headers={})

    async def _sent(self, visit: Visit, page: Page, arguments: tuple[Any, ...], limit: int) -> Response:
        """Return the page that a form leads to. Ask for the password first if the session has ended meanwhile."""
        has_ended = visit.session.account is None and page not in OPEN | NOT_KEPT
        if page not in OPEN and not has_ended:
            _require_account(visit)
        check_headers(visit.request.scope["headers"], max_bytes=limit)
        async with visit.request.form() as visit.form:
            refused = await home.sign_in_again(visit) if has_ended else None
            if refused is not None:
                return refused
            visit.check_form()
            return await page(visit, *arguments)

    def _find(self, method: str, parts: list[str]) -> tuple[Page, tuple[Any, ...]]:
        """Return the page of an address, with the entity, the key of the row and the step that it is about.

        Raises:
            NotFoundError, HTTPException: 404 or 405.
        """
        if not parts:
            return home.show_home, ()
        entity = self.entities.get(parts[0])
        if entity is None:
            return _of(SITE_PAGES, method, parts), ()
        rest = parts[1:]
        if not rest or rest[0] in ROW_WORDS:
            return _of(ENTITY_PAGES, method, rest or [""]), (entity,)
        key, rest = key_of(rest[0]), rest[1:]
        if rest[:1] == ["steps"] and method == "POST":
            return changes.take_step, (entity, key, "/".join(rest[1:]))
        return _of(ROW_PAGES, method, rest or [""]), (entity, key)


def _of(pages: Mapping[tuple[str, str], Page], method: str, words: list[str]) -> Page:
    word = "/".join(words)
    found = pages.get((method, word))
    if found is None:
        raise HTTPException(405) if any(word == other for _, other in pages) else NotFoundError
    return found


def _prefix_of(entity: Entity) -> str:
    return entity.api_path.removesuffix(f"/{entity.resource.path}")


def _require_account(visit: Visit) -> None:
    """Require an account with a role that may use the pages.

    Raises:
        NotAuthenticatedError, PermissionDeniedError: nobody is signed in, or 403.
    """
    if visit.request.method == "POST" and visit.session.account is None:
        raise PermissionDeniedError("Sign in first, then send the form again.")
    visit.check_role()
