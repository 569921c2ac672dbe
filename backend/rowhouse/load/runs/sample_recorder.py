"""Record Locust's request events as raw samples. It does not import Locust: the events are keyword arguments."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The load generator prints this when the users have arrived and the warm-up is over.
MEASURING = "measuring"
MAX_FAILURE_LENGTH = 400


@dataclass(kw_only=True)
class SampleRecorder:
    """Records the requests that begin between two instants (perf_counter, in seconds)."""

    begin: float = float("inf")
    end: float = float("inf")
    samples: list[tuple[float, str, float, str | None, str | None]] = field(default_factory=list)

    def record(
        self,
        *,
        request_type: str,
        name: str,
        response_time: float,
        exception: Exception | None,
        context: Mapping[str, Any],
        **_: object,
    ) -> None:
        """Listen to Locust; `response_time` is in milliseconds, and that of a stream is to its first byte."""
        started = time.perf_counter() - response_time / 1000
        if self.begin <= started < self.end:
            failure = str(exception)[:MAX_FAILURE_LENGTH] if exception is not None else None
            self.samples.append(
                (started - self.begin, f"{request_type} {name}", response_time, failure, context.get("conflict"))
            )
