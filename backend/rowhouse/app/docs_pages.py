"""`/docs` and `/redoc`, with every asset from this server and a strict content policy.

The policy has hashes of their inline scripts and styles. The scripts and styles come from the package fastapi-offline.
The pages are FastAPI's own.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Iterable
from functools import lru_cache, partial
from importlib.resources import files

from fastapi import FastAPI
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from rowhouse.app.openapi_document import CACHED_PREFIXES
from rowhouse.app.openapi_document import PATH as DOCUMENT
from rowhouse.core.logging_config import OWN_POLICY
from rowhouse.requests.paths import prefix_of, route_path

ASSETS = "/docs/assets"
INLINE_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# ReDoc adds an empty <style> and fills it through the CSSOM, which no policy checks, and a constant one for its scroll
# bars.
EMPTY_STYLE = ""
SCROLLBARS = "'sha256-QMIg+bpjm3JdElJ388KYke01izlUW0UoNOeKjpMxdgc='"
INLINE_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def add_pages(app: FastAPI) -> None:
    """Add both pages and their assets, at the root, and redirect `/` to the first."""
    _add_page(app, "/docs", partial(_swagger, app.title))
    _add_page(app, "/redoc", partial(_redoc, app.title))
    app.mount(ASSETS, StaticFiles(directory=str(files("fastapi_offline") / "static")), name="docs-assets")
    app.router.default = _RootRedirect(app.router.default)


class _RootRedirect:
    """Redirects `/` to `/docs`, if no route of the application has `/`. Every other unknown path is a 404."""

    def __init__(self, not_found: ASGIApp) -> None:
        self._not_found = not_found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the ASGI application."""
        if scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and route_path(scope) in ("", "/"):
            await RedirectResponse(f"{prefix_of(scope)}/docs")(scope, receive, send)
        else:
            await self._not_found(scope, receive, send)


def _swagger(title: str, prefix: str) -> HTMLResponse:
    return get_swagger_ui_html(
        openapi_url=prefix + DOCUMENT,
        title=f"{title}: try it out",
        swagger_js_url=f"{prefix}{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{prefix}{ASSETS}/swagger-ui.css",
        swagger_favicon_url=f"{prefix}{ASSETS}/favicon.png",
        swagger_ui_parameters={"docExpansion": "none", "filter": True, "persistAuthorization": True},
    )


def _redoc(title: str, prefix: str) -> HTMLResponse:
    return get_redoc_html(
        openapi_url=prefix + DOCUMENT,
        title=f"{title}: reference",
        redoc_js_url=f"{prefix}{ASSETS}/redoc.standalone.js",
        redoc_favicon_url=f"{prefix}{ASSETS}/favicon.png",
        with_google_fonts=False,
    )


def _add_page(app: FastAPI, path: str, make: Callable[[str], HTMLResponse]) -> None:
    """Add a page. It is rendered once for each prefix."""

    @lru_cache(maxsize=CACHED_PREFIXES)
    def page(prefix: str) -> HTMLResponse:
        body = make(prefix).body
        return HTMLResponse(body, headers={"Content-Security-Policy": content_policy(bytes(body).decode())})

    async def show(request: Request) -> Response:
        request.scope["state"][OWN_POLICY] = True
        return page(prefix_of(request.scope))

    app.add_route(path, show, methods=["GET"], include_in_schema=False)


def content_policy(html: str) -> str:
    """Return the policy for a page: its own assets, its inline scripts by hash, and nothing else (CSP level 3)."""
    scripts = _hashes(INLINE_SCRIPT.findall(html))
    styles = _hashes([*INLINE_STYLE.findall(html), EMPTY_STYLE])
    return (
        f"default-src 'none'; script-src 'self'{scripts}; style-src 'self'{styles} {SCROLLBARS}; img-src 'self' data:; "
        "font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'"
    )


def _hashes(texts: Iterable[str]) -> str:
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return "".join(f" 'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
