"""The metrics that every application has: their names, help texts and places in the array of numbers.

A place is the index of a number in `Metrics.cells`. A module adds to it directly: `metrics.cells[STATEMENTS] += 1`.
A histogram has a number for each bucket, one for the values above the last bound, and one for their sum.
The metrics of requests have places behind these; see `rowhouse.metrics.recorder`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["counter", "gauge", "histogram"]
# Upper bounds in seconds.
# A shorter wait is not recorded: it is the change of threads alone.
LONG_WAIT = 0.001
WAIT_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
# The names of the thread groups are those of `rowhouse.workers.runner.WorkerGroup`.
GROUPS = ("default", "hashing", "sign_up", "transfer", "probe")


@dataclass(frozen=True)
class Family:
    """One metric. `places` are its series: the labels as text, such as `reason="lock"`, and the first place of each."""

    name: str
    kind: Kind
    text: str
    bounds: Sequence[float] = ()
    places: dict[str, int] = field(default_factory=dict)


FAMILIES: list[Family] = []
_size = 0


def _add(family: Family, *labels: str) -> None:
    global _size  # noqa: PLW0603  the layout is made once, when this module is imported
    for label in labels:
        family.places[label] = _size
        _size += len(family.bounds) + 2 if family.bounds else 1
    FAMILIES.append(family)


def _single(name: str, kind: Kind, text: str) -> int:
    family = Family(name, kind, text)
    _add(family, "")
    return family.places[""]


def _labelled(family: Family, label: str, values: Sequence[str]) -> Mapping[str, int]:
    """Add a metric with one label. Return the place of each value of the label."""
    _add(family, *(f'{label}="{value}"' for value in values))
    return dict(zip(values, family.places.values(), strict=True))


QUEUE_WAIT = _labelled(
    Family("rowhouse_queue_wait_seconds", "histogram", "Waits for a thread of more than a millisecond.", WAIT_BOUNDS),
    "threads",
    GROUPS,
)
BUSY = _labelled(
    Family("rowhouse_threads_busy", "gauge", "Threads that run work; each uses one database connection."),
    "threads",
    GROUPS,
)
QUEUE_TIMEOUTS = _labelled(
    Family("rowhouse_queue_timeouts_total", "counter", "Work that got no thread within QUEUE_SECONDS."),
    "threads",
    GROUPS,
)
REFUSALS = _labelled(
    Family("rowhouse_refusals_total", "counter", "Requests refused with 429 or 503."), "status", ("429", "503")
)
CONNECTIONS = _single("rowhouse_database_connections", "gauge", "Open database connections of worker threads.")
STATEMENTS = _single("rowhouse_statements_total", "counter", "Statements that were run.")
STATEMENT_SECONDS = _single("rowhouse_statement_seconds_total", "counter", "Time in which statements ran.")
RETRIES = _labelled(
    Family("rowhouse_retries_total", "counter", "Transactions that were run again."),
    "reason",
    ("connection", "conflict"),
)
LOCK_WAITS = _single("rowhouse_lock_waits_total", "counter", "Waits for SQLite's one writer.")
LOCK_WAIT_SECONDS = _single("rowhouse_lock_wait_seconds_total", "counter", "Time of waits for SQLite's one writer.")
LOCK_TIMEOUTS = _single("rowhouse_lock_timeouts_total", "counter", "Work that got no lock within LOCK_SECONDS.")
HASHES = _single("rowhouse_password_hashes_total", "counter", "Passwords that were hashed or verified.")
HASH_SECONDS = _single("rowhouse_password_hash_seconds_total", "counter", "Time in which passwords were hashed.")
LOGIN_FAILURES = _single("rowhouse_login_failures_total", "counter", "Logins and password checks that failed.")
TRANSFERRED = _labelled(
    Family("rowhouse_transfer_rows_total", "counter", "Rows of exports and imports."), "direction", ("export", "import")
)
SIZE = _size
GAUGES = tuple(place for family in FAMILIES if family.kind == "gauge" for place in family.places.values())
