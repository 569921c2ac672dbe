"""The table of `rowhouse routes`: every documented operation, who may call it, and its time bound."""

from collections.abc import Iterator, Sequence

from fastapi import FastAPI

from rowhouse.http.routing import OneHopRoute
from rowhouse.operations.route import GeneratedRoute

HEADINGS = ("METHOD", "PATH", "OPERATION", "WHO", "SLO")
UNKNOWN = "its own check"  # a route of plain FastAPI
Row = tuple[str, ...]


def table(app: FastAPI) -> str:
    """Return the operations as lines of text, in the order of the OpenAPI document."""
    rows = [HEADINGS, *_rows(app)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    return "\n".join(_line(row, widths) for row in rows)


def _line(row: Row, widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _rows(app: FastAPI) -> Iterator[Row]:
    policies = dict(_policies(app))
    for path, item in app.openapi()["paths"].items():
        for method, operation in item.items():
            who = policies.get((method.upper(), path), UNKNOWN)
            slo = operation.get("x-slo-ms")
            yield method.upper(), path, operation["operationId"], who, f"{slo} ms" if slo else ""


def _policies(app: FastAPI) -> Iterator[tuple[tuple[str, str], str]]:
    """Yield the policies of each method and path. The first route of a path answers, so it comes last."""
    for route in reversed(app.routes):
        if isinstance(route, GeneratedRoute | OneHopRoute):
            for method in route.methods or ():
                own = (route.policy,) if isinstance(route, GeneratedRoute) else route.authorization.policies(method)
                names = sorted({policy.name for policy in own})
                yield (method, route.path_format), " and ".join(names) or "anyone"
