"""Structured logs: one JSON object in each line of standard error, or readable lines with `LOG_JSON=false`.

Must never be given a body, a header or a query string: they hold secrets.
"""

import logging
import re
import sys
from contextvars import ContextVar
from typing import Any

import structlog

from rowhouse.core.settings import Settings

# The `state` of the request's scope, for the worker thread, which has no scope.
request_state: ContextVar[dict[str, Any] | None] = ContextVar("request_state", default=None)
# A key of that `state`, set by a response with a content policy of its own. `RequestMiddleware` adds none to it then.
OWN_POLICY = "own_policy"
# Matches the lines after the first of a PostgreSQL error, which quote the row, up to the next paragraph of a traceback.
ANNOTATIONS = re.compile(r"\n(?:DETAIL|HINT|CONTEXT|WHERE):.*?(?=\n\[SQL|\n\n|\Z)", re.DOTALL)


def note_account(account_id: Any) -> None:
    """Add the authenticated account to the request's line in the log."""
    state = request_state.get()
    if state is not None:
        state["account"] = account_id


def plain_exception(_logger: Any, _name: str, event: dict[str, Any]) -> dict[str, Any]:
    """Write the traceback of an exception into the log line, without the parts that quote a row (structlog)."""
    event = dict(structlog.processors.format_exc_info(_logger, _name, event))
    if isinstance(event.get("exception"), str):
        event["exception"] = ANNOTATIONS.sub("", event["exception"])
    return event


def configure_logging(settings: Settings) -> None:
    """Format the records of structlog and of the standard library, including uvicorn's, in one way."""
    level = logging.getLevelName(settings.log_level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # With `rich` installed, structlog would print every local variable, including passwords. So tracebacks are
    # formatted here.
    plain = structlog.dev.plain_traceback
    last: list[Any] = [plain_exception, structlog.dev.ConsoleRenderer(colors=False, exception_formatter=plain)]
    if settings.log_json:
        last = [plain_exception, structlog.processors.JSONRenderer()]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    for name in ("", "uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [] if name else [handler]
        logger.propagate = True
        logger.setLevel(logging.NOTSET)  # uvicorn sets levels of its own
    logging.getLogger().setLevel(level)
    logging.getLogger("uvicorn.access").disabled = True
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(int(level)),
        cache_logger_on_first_use=True,
    )
