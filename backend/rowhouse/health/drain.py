"""Stops a server in two steps: at SIGTERM `/ready` turns 503 while everything is served on, then the server closes and ends.

The signals are uvicorn's. Its handler is called `DRAIN_SECONDS` later, whoever started it: `rowhouse.cli.serve`, or uvicorn's own command
with one process or several. Must not close a connection itself.
"""

import asyncio
import math
import signal
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
import uvicorn

from rowhouse.core.settings import Settings

DRAINING = "The server is shutting down; send new requests to another one."
Handler = Callable[[int, Any], Any]
log = structlog.get_logger("drain")


class Drain:
    """Whether this process is about to end; `watch` it as long as it serves."""

    def __init__(self, settings: Settings) -> None:
        self.has_begun = False
        self._drain_seconds = settings.drain_seconds
        self._shutdown_seconds = settings.shutdown_seconds
        self._former: dict[signal.Signals, Handler] = {}

    def install_handlers(self) -> None:
        """Be told of the signals before the server is; called in its loop, once the server has its own handlers."""
        self.has_begun = False
        if threading.current_thread() is not threading.main_thread():
            return  # a test's server: Python has signals in the main thread alone
        loop = asyncio.get_running_loop()
        for number, seconds in ((signal.SIGTERM, self._drain_seconds), (signal.SIGINT, 0.0)):
            former = signal.getsignal(number)
            if callable(former):  # not SIG_DFL or SIG_IGN, which are numbers
                self._former[number] = former
                self._bound(former)
                signal.signal(number, partial(self._begin, loop, seconds))

    def _bound(self, former: Handler) -> None:
        """Tell uvicorn how long to wait for a client that stands still: it would for ever."""
        server = getattr(former, "__self__", None)
        if isinstance(server, uvicorn.Server) and server.config.timeout_graceful_shutdown is None:
            server.config.timeout_graceful_shutdown = math.ceil(self._shutdown_seconds)

    def _begin(self, loop: asyncio.AbstractEventLoop, seconds: float, number: int, frame: Any) -> None:
        """A signal has come. A second one, and Ctrl-C, do not wait."""
        former = self._former[signal.Signals(number)]
        if self.has_begun or not seconds:
            self.has_begun = True
            former(number, frame)
            return
        self.has_begun = True
        loop.call_soon_threadsafe(self._wait, loop, seconds, partial(former, number, None))

    def _wait(self, loop: asyncio.AbstractEventLoop, seconds: float, close: Callable[[], Any]) -> None:
        log.info("draining: /ready is 503, requests are served on", seconds=seconds)
        loop.call_later(seconds, close)

    def remove_handlers(self) -> None:
        """Leave the signals to whom they were."""
        for number, former in self._former.items():
            signal.signal(number, former)
        self._former.clear()
