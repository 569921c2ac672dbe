"""Adds `/admin` to an application if the extra `admin` is installed and `ADMIN_ROLES` names a role.

The package `rowhouse.admin` is imported at the first request, so an application whose pages nobody uses does not pay
for them.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import structlog
from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from rowhouse.core.settings import Settings
from rowhouse.registration.registry import BUILT_IN_ROLES, Registry
from rowhouse.schemas.columns import RegistrationError

if TYPE_CHECKING:
    from rowhouse.admin.site import Site

# The module that the extra installs.
TEMPLATES = "jinja2"
PATHS = ("/admin", "/admin/{page:path}")
LOGIN = "/auth/login"
log = structlog.get_logger("start")


class AdminPages:
    """The pages of one application, made at the first request."""

    def __init__(self, app: FastAPI, settings: Settings, prefix: str) -> None:
        self._app, self._settings, self._prefix = app, settings, prefix
        self._site: Site | None = None

    def _load(self) -> "Site":
        from rowhouse.admin.site import Site  # noqa: PLC0415  needs the extra, and is loaded when it is used

        return Site(self._app, self._settings, prefix=self._prefix)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the ASGI application."""
        if self._site is None:
            self._site = await run_in_threadpool(self._load)
        await self._site(scope, receive, send)


def add_admin(app: FastAPI, registries: Sequence[Registry], settings: Settings) -> None:
    """Add the pages if the extra is installed and `ADMIN_ROLES` names a role.

    Raises:
        RegistrationError: at start-up, for a role that no account can have.
    """
    if not settings.admin_roles:
        return
    known = {*BUILT_IN_ROLES, *(name for registry in registries for name in registry.roles)}
    unknown = set(settings.admin_roles) - known
    if unknown:
        raise RegistrationError(
            f"ADMIN_ROLES: no account can have the role {', '.join(sorted(unknown))}; "
            f"the roles are {', '.join(sorted(known))}. Write none for no administration pages"
        )
    if find_spec(TEMPLATES) is None:
        if settings.admin_roles != Settings.model_fields["admin_roles"].default:
            log.warning("ADMIN_ROLES has no effect: /admin needs pip install 'rowhouse-api[admin]'")
        return
    prefixes = [registry.prefix for registry in registries if _has_login(registry)]
    if prefixes:
        pages = AdminPages(app, settings, prefixes[0])
        app.router.routes.extend(Route(path, pages, include_in_schema=False) for path in PATHS)


def _has_login(registry: Registry) -> bool:
    return any(getattr(route, "path", "") == LOGIN for router in registry.routers for route in router.routes)
