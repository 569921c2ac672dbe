"""Structured logs: one JSON object a line on standard error (or a readable line with `LOG_JSON=false`).

Must never be given a body, a header or a query string: they hold secrets.
"""

import logging
import sys
from typing import Any

import structlog

from backend.core.config import Settings


def configure_logging(settings: Settings) -> None:
    """Send structlog's and the standard library's records, uvicorn's among them, through one format."""
    level = logging.getLevelName(settings.log_level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Plain tracebacks: where `rich` is installed, structlog would print every local variable, passwords among them.
    plain = structlog.dev.plain_traceback
    last: list[Any] = [structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)]
    if settings.log_json:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    for name in ("", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [] if name else [handler]
        logger.propagate = True
    logging.getLogger().setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(int(level)),
        cache_logger_on_first_use=True,
    )
