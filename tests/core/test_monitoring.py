"""The dashboard, the alert rules and the operator's page name only metrics and labels that exist."""

import json
import re

import pytest

from rowhouse.metrics import layout
from rowhouse.metrics.exposition import FAMILIES
from tests.conftest import ROOT

PAGE = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
DASHBOARD = (ROOT / "docs/monitoring/dashboard.json").read_text(encoding="utf-8")
ALERTS = (ROOT / "docs/monitoring/alerts.yml").read_text(encoding="utf-8")
METRIC = re.compile(r"\browhouse_\w+")
GROUPING = re.compile(r"\b(?:by|on) \(([\w, ]+)\)")
LABELS = {"operation", "status", "le", *(place.partition("=")[0] for one in layout.FAMILIES for place in one.places)}


def sample_names() -> set[str]:
    """Return the names of all samples of a scrape."""
    parts = ("", "_bucket", "_count", "_sum")
    return {family.name + part for family in FAMILIES for part in (parts if family.kind == "histogram" else ("",))}


@pytest.mark.parametrize("text", [DASHBOARD, ALERTS, PAGE], ids=["dashboard", "alerts", "page"])
def test_only_metrics_that_exist_are_named(text: str) -> None:
    """And every label that they are grouped by exists."""
    assert set(METRIC.findall(text)) - sample_names() == set()
    assert {label for found in GROUPING.findall(text) for label in found.split(", ")} <= LABELS


def test_the_page_explains_every_metric() -> None:
    """In its table."""
    assert {family.name for family in FAMILIES} <= set(METRIC.findall(PAGE))


def test_the_query_for_the_promise_is_the_same_everywhere() -> None:
    """On the page, in the dashboard and in the alert."""
    query = " ".join(re.search(r"```promql\n(.*?)```", PAGE, re.DOTALL)[1].split())  # type: ignore[index]  # is there
    expressions = [target["expr"] for panel in json.loads(DASHBOARD)["panels"] for target in panel["targets"]]
    assert query in expressions
    assert query in " ".join(ALERTS.split())
