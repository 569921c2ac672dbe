"""`/metrics` lists every operation of the product after one call of each, whatever the response was."""

from collections.abc import Callable

from starlette.testclient import TestClient

from tests.core.test_metrics import of, scraped


def test_every_operation_is_counted_once(make_app: Callable[..., TestClient]) -> None:
    """By its id in the document. Nobody is signed in, so most calls are refused, and are counted all the same."""
    client = make_app("sqlite")
    operations = [
        (method, path.replace("{", "").replace("}", ""), operation["operationId"])
        for path, item in client.get("/openapi.json").json()["paths"].items()
        for method, operation in item.items()
    ]
    for method, path, _ in operations:
        client.request(method, path)
    values = scraped(client.get("/metrics").text)
    for _, _, name in operations:
        counts = [of(values, "requests_total", operation=name, status=f"{number}xx") or 0 for number in range(1, 6)]
        assert sum(counts) == 1, name
    assert of(values, "requests_total", operation="none", status="4xx") is None
