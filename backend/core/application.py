"""FastAPI with a short way to the routes that need none of its layers.

A generated route sends nothing before its answer is made. FastAPI's error handlers, exit stack and
matching of routes, which cost as much as the rest of the loop's part in it, stand aside for it until something goes wrong.
"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from backend.core.directory import Directory


class Application(FastAPI):
    """FastAPI whose routes below one prefix are `directory`'s; `edge` makes the layer that is around all others, whenever they are added."""

    def __init__(self, directory: Directory, *, edge: Callable[[ASGIApp], ASGIApp], **options: Any) -> None:
        super().__init__(**options)
        self.directory = directory
        self._edge = edge
        self.router.routes.insert(0, directory)

    def build_middleware_stack(self) -> ASGIApp:
        """The edge, around the middleware that was added, around the short way, around FastAPI's own layers."""
        added, self.user_middleware = self.user_middleware, []
        app: ASGIApp = _Shortcut(super().build_middleware_stack(), self.directory)
        self.user_middleware = added
        for middleware, arguments, options in reversed(added):
            app = middleware(app, *arguments, **options)
        return self._edge(app)


class _Shortcut:
    """Has the directory answer what it can at once; everything else, and whatever goes wrong, takes the ordinary way."""

    def __init__(self, ordinary: ASGIApp, directory: Directory) -> None:
        self._ordinary = ordinary
        self._directory = directory

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI application."""
        if not await self._directory.has_answered(scope, receive, send):
            await self._ordinary(scope, receive, send)
