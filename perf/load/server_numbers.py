"""The server's own numbers of a load, from its `/metrics`: which share of each operation it sent within the SLO.

Locust waits for a response from outside, the server from its middleware on. Where their verdicts differ, the time was
spent between both: in a queue of connections, a proxy, or the load generator itself.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import httpx2
from prometheus_client.parser import text_string_to_metric_families as families

from perf.report.results import ServerNumber
from rowhouse.load.runs.results import Endpoint

OBJECTIVE, COUNT, BUCKET = "rowhouse_slo_seconds", "rowhouse_request_seconds_count", "rowhouse_request_seconds_bucket"
PROMISE = 0.95
TIMEOUT_SECONDS = 10.0


class Requests(NamedTuple):
    """The finished requests of an operation, and those within its SLO."""

    total: float
    within: float


Numbers = Mapping[str, Requests]


def scrape(host: str) -> Numbers | None:
    """Return the requests of each operation so far. None if the application has no `/metrics` that anybody may read."""
    response = httpx2.get(f"{host}/metrics", timeout=TIMEOUT_SECONDS)
    return None if response.is_error else numbers_in(response.text)


def numbers_in(text: str) -> Numbers:
    """Return the requests of each operation with an SLO in a scrape, of all status classes together."""
    samples = [sample for family in families(text) for sample in family.samples]
    objectives = {one.labels["operation"]: one.value for one in samples if one.name == OBJECTIVE}
    total, within = defaultdict[str, float](float), defaultdict[str, float](float)
    for sample in samples:
        operation = sample.labels.get("operation", "")
        if sample.name == COUNT:
            total[operation] += sample.value
        elif sample.name == BUCKET and float(sample.labels["le"]) == objectives.get(operation):
            within[operation] += sample.value
    return {name: Requests(total[name], within[name]) for name in objectives}


def between(before: Numbers | None, after: Numbers | None) -> dict[str, ServerNumber] | None:
    """Return what happened between two scrapes."""
    if before is None or after is None:
        return None
    nothing = Requests(0, 0)
    return {
        name: {
            "requests": round(now.total - before.get(name, nothing).total),
            "within_slo": round(now.within - before.get(name, nothing).within),
        }
        for name, now in after.items()
    }


def differences(endpoints: Sequence[Endpoint], numbers: Mapping[str, ServerNumber]) -> Iterator[tuple[str, str]]:
    """Yield the name of each endpoint of which the server says something else than Locust, and a sentence.

    A stream is left out: Locust measures its first byte, and the server its end.
    """
    for endpoint in endpoints:
        if endpoint["requests"] and endpoint["measured"] != "first byte":
            said = _difference(endpoint, numbers.get(endpoint["operation_id"]))
            if said:
                yield endpoint["name"], said


def _difference(endpoint: Endpoint, found: ServerNumber | None) -> str:
    if found is None or not found["requests"]:
        return f"{endpoint['requests']} requests for Locust, none for the server"
    share = found["within_slo"] / found["requests"]
    is_slow = endpoint["p95_ms"] > endpoint["slo_ms"]
    if is_slow is (share < PROMISE):
        return ""
    side = "over" if is_slow else "within"
    return (
        f"p95 {endpoint['p95_ms']:.1f} ms for Locust, {side} the SLO of {endpoint['slo_ms']} ms; "
        f"the server sent {share:.1%} of {found['requests']} responses within it"
    )
