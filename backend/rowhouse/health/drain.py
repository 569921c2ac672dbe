"""Stops a server in two steps: after SIGTERM, `/ready` is 503 while requests are still handled; then the server closes.

uvicorn handles the signals. Its handler is called `DRAIN_SECONDS` later, both under `rowhouse.cli.serve` and under
uvicorn's own command with one process or several. Must not close a connection itself.
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
    """The shutdown of this process. `has_begun` is True from the first signal on."""

    def __init__(self, settings: Settings) -> None:
        self.has_begun = False
        self._drain_seconds = settings.drain_seconds
        self._shutdown_seconds = settings.shutdown_seconds
        self._former: dict[signal.Signals, Handler] = {}

    def install_handlers(self) -> None:
        """Handle the signals before the server does. Call it in the event loop, once the server has its handlers."""
        self.has_begun = False
        if threading.current_thread() is not threading.main_thread():
            return  # a server in a test: only the main thread can handle signals
        loop = asyncio.get_running_loop()
        for number, seconds in ((signal.SIGTERM, self._drain_seconds), (signal.SIGINT, 0.0)):
            former = signal.getsignal(number)
            if callable(former):  # not SIG_DFL or SIG_IGN, which are numbers
                self._former[number] = former
                self._limit_shutdown(former)
                signal.signal(number, partial(self._begin, loop, seconds))

    def _limit_shutdown(self, former: Handler) -> None:
        """Limit how long uvicorn waits for a client that does not read. It would wait for ever."""
        server = getattr(former, "__self__", None)
        if isinstance(server, uvicorn.Server) and server.config.timeout_graceful_shutdown is None:
            server.config.timeout_graceful_shutdown = math.ceil(self._shutdown_seconds)

    def _begin(self, loop: asyncio.AbstractEventLoop, seconds: float, number: int, frame: Any) -> None:
        """Handle a signal. A second one, and Ctrl-C, end the server at once."""
        former = self._former[signal.Signals(number)]
        if self.has_begun or not seconds:
            self.has_begun = True
            former(number, frame)
            return
        self.has_begun = True
        loop.call_soon_threadsafe(self._close_later, loop, seconds, partial(former, number, None))

    def _close_later(self, loop: asyncio.AbstractEventLoop, seconds: float, close: Callable[[], Any]) -> None:
        log.info("draining: /ready is 503, requests are still handled", seconds=seconds)
        loop.call_later(seconds, close)

    def remove_handlers(self) -> None:
        """Restore the former handlers."""
        for number, former in self._former.items():
            signal.signal(number, former)
        self._former.clear()
