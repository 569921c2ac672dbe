"""Analyse a run: which endpoints are worst, why it failed, and what changed since an earlier run.

A run is the document in `run.json`. This module returns numbers and sentences, not HTML or Markdown.
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]

VERSION = 1
OK, SLOW, FAILED, NEVER_HIT = "ok", "slow", "failed", "never hit"
# A lower number is worse. An unknown verdict is the worst.
SEVERITY = {FAILED: 1, NEVER_HIT: 2, SLOW: 3, OK: 4}
SIGNS = {FAILED: "✕", NEVER_HIT: "○", SLOW: "✕", OK: "✓"}
MISSING = "-"
# Two equal runs on a shared machine differ by up to 16 %.
NOISE = 0.20
WORST = 3
ACRONYMS = {"cpu": "CPU", "slo": "SLO", "mib": "MiB", "postgresql": "PostgreSQL", "python": "Python"}
PERCENTILES = ("p50_ms", "p95_ms", "p99_ms")


class UnreadableRunError(ValueError):
    """A document is no run, or one that this version cannot read."""


def check(run: object) -> None:
    """Check that a document is a run of this version.

    Raises:
        UnreadableRunError: it is something else, or of another version.
    """
    if not isinstance(run, Mapping) or "endpoints" not in run:
        raise UnreadableRunError("this is not the document of a run")
    if run.get("version") != VERSION:
        raise UnreadableRunError(f"the document has version {run.get('version')!r}; this program reads {VERSION}")


def measure(value: Any) -> float | None:
    """Return a finite number; None for anything else, such as the latency of an endpoint that was never called."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def latency(endpoint: Document, name: str) -> float | None:
    """Return a latency of an endpoint in ms; None if it was never called."""
    return measure(endpoint[name]) if endpoint["requests"] else None


def number(value: Any, digits: int = 0) -> str:
    """Format a number with separators between thousands."""
    found = measure(value)
    return MISSING if found is None else f"{found:,.{digits}f}"


def quota(value: Any) -> str:
    """Format a limit as precisely as it was set."""
    found = measure(value)
    return MISSING if found is None else f"{found:,.1f}".removesuffix(".0")


def verdict(endpoint: Document) -> str:
    """Return the verdict of an endpoint with a sign, so that it can be read without colours."""
    return f"{SIGNS.get(endpoint['verdict'], '?')} {endpoint['verdict']}"


def share_of_slo(endpoint: Document) -> float:
    """Return the p95 divided by the SLO."""
    slo = measure(endpoint["slo_ms"])
    return (latency(endpoint, "p95_ms") or 0.0) / slo if slo else 0.0


def ranked(run: Document) -> list[Document]:
    """Return the endpoints, the worst first."""
    return sorted(
        run["endpoints"],
        key=lambda e: (SEVERITY.get(e["verdict"], 0), -e["failures"], -share_of_slo(e), e["name"]),
    )


def reason(endpoint: Document) -> str:
    """Return the reason for the verdict of an endpoint."""
    if endpoint["verdict"] == NEVER_HIT or not endpoint["requests"]:
        return f"{endpoint['name']} never hit"
    if endpoint["failures"]:
        return f"{endpoint['name']} {number(endpoint['failures'])} of {number(endpoint['requests'])} failed"
    return f"{endpoint['name']} p95 {number(endpoint['p95_ms'], 1)} of {quota(endpoint['slo_ms'])} ms"


def headline(run: Document) -> str:
    """Return the verdict in one line: passed or failed, why, and the worst endpoints."""
    endpoints = ranked(run)
    word = "✓ Passed" if run["passed"] else "✕ Failed"
    if not endpoints:
        return f"{word}: no endpoint was measured."
    counts = Counter(str(endpoint["verdict"]) for endpoint in endpoints)
    wrong = ", ".join(f"{counts[name]} {name}" for name in sorted(counts, key=_severity) if name != OK)
    many = f"{len(endpoints)} endpoint{'' if len(endpoints) == 1 else 's'}"
    all_ok = f"{many} ok" if run["passed"] else f"{many} ok, but not the run"
    why = f"{wrong} of {many}" if wrong else all_ok
    worst = "; ".join(reason(endpoint) for endpoint in endpoints[:WORST])
    return f"{word}: {why}. {'Nearest to the limit' if run['passed'] else 'Worst'}: {worst}."


def _severity(name: str) -> int:
    return SEVERITY.get(name, 0)


def change(now: Any, before: Any) -> float | None:
    """Return the relative growth of a figure; None if one of the two is missing."""
    new, old = measure(now), measure(before)
    return None if new is None or not old else new / old - 1


def is_noise(changed: float) -> bool:
    """Return whether two equal runs can differ by this much."""
    return abs(changed) <= NOISE + 1e-9


def difference(now: Any, before: Any) -> str:
    """Format a change. One within the noise is not marked."""
    changed = change(now, before)
    if changed is None:
        return MISSING
    return "≈" if is_noise(changed) else f"{'▲' if changed > 0 else '▼'} {changed * 100:+,.0f} %"


def by_name(run: Document) -> dict[str, Document]:
    """Return the endpoints by name."""
    return {endpoint["name"]: endpoint for endpoint in run["endpoints"]}


def comparison(run: Document, earlier: Document) -> list[str]:
    """Compare with an earlier run: how many endpoints changed, which are gone, and how the two runs differ."""
    before = by_name(earlier)
    pairs = [(endpoint, before[endpoint["name"]]) for endpoint in run["endpoints"] if endpoint["name"] in before]
    changes = [change(latency(now, "p95_ms"), latency(then, "p95_ms")) for now, then in pairs]
    marked = [changed for changed in changes if changed is not None and not is_noise(changed)]
    slower = sum(changed > 0 for changed in marked)
    counts = f"more than {NOISE * 100:.0f} % higher: {slower}, lower: {len(marked) - slower}"
    sentences = [f"Against the run of {earlier['started_at']}, endpoints whose p95 is {counts}. Less is noise."]
    gone = [name for name in before if name not in by_name(run)]
    if gone:
        sentences.append(f"No longer there: {', '.join(gone)}.")
    other = [*_differences("plan", run, earlier), *_differences("machine", run, earlier)]
    if other:
        sentences.append(f"The two runs differ: {'; '.join(other)}.")
    return sentences


def _differences(part: str, run: Document, earlier: Document) -> list[str]:
    now, then = run[part], earlier[part]
    names = [name for name in now if name in then and now[name] != then[name]]
    return [f"{label(name)} {now[name]}, then {then[name]}" for name in names]


def label(name: str) -> str:
    """Return the name of a member as words."""
    return " ".join(ACRONYMS.get(word, word) for word in name.split("_"))


def breaking_point(steps: Sequence[Document]) -> Document | None:
    """Return the first step that was not ok; None if all were."""
    return next((step for step in sorted(steps, key=lambda step: step["users"]) if not step["ok"]), None)


def capacity_sentence(steps: Sequence[Document]) -> str:
    """Say how many users the server can serve, and which endpoint breaks first."""
    broken = breaking_point(steps)
    passed = [step for step in steps if step["ok"] and (broken is None or step["users"] < broken["users"])]
    best = max(passed, key=lambda step: step["users"], default=None)
    first = (
        "The first step already failed."
        if best is None
        else f"It serves {number(best['users'])} users at {number(best['requests_per_second'], 1)} requests/s."
    )
    if broken is None:
        return f"{first} No step failed."
    worst = f"{broken['worst']} p95 {number(broken['worst_p95_ms'], 1)} ms"
    return f"{first} It breaks at {number(broken['users'])} users: {worst}."
