"""Keeps what Locust tells of each request as raw samples. Knows no Locust: its events are plain keywords."""

import time
from dataclasses import dataclass, field

FAILURE_LETTERS = 400


@dataclass(kw_only=True)
class Recorder:
    """Keeps raw samples of the requests that are begun between two moments (perf_counter, in seconds)."""

    begin: float = float("inf")
    end: float = float("inf")
    samples: list[tuple[float, str, float, str | None]] = field(default_factory=list)

    def note(
        self, *, request_type: str, name: str, response_time: float, exception: Exception | None, **_: object
    ) -> None:
        """Locust's listener; `response_time` is in milliseconds, and a stream's ends at its first byte."""
        started = time.perf_counter() - response_time / 1000
        if self.begin <= started < self.end:
            failure = str(exception)[:FAILURE_LETTERS] if exception is not None else None
            self.samples.append((started - self.begin, f"{request_type} {name}", response_time, failure))
