"""OpenAPI states every status and header of the steps and the hand-written routes, with one schema for one thing."""

from typing import Any

import pytest
from starlette.testclient import TestClient

from rowhouse.core.openapi import resolved

STEP = {"200", "400", "401", "403", "404", "409", "412", "413", "422", "429", "503"}
TAGGED, REPEATABLE, MADE = {"ETag"}, {"ETag", "Idempotent-Replayed"}, {"Location", "ETag", "Idempotent-Replayed"}
# Statuses, the answers with their headers, and the schemas of body and answer.
ROUTES: dict[str, tuple[set[str], dict[str, set[str]], str | None, str]] = {
    "/books/{id}/stock": (
        {"200", "400", "401", "403", "404", "413", "415", "422", "503"}, {"200": TAGGED}, "StockTaking", "BookPublic",
    ),
    "/cart-items": (
        {"200", "201", "401", "403", "409", "413", "415", "422", "429", "503"},
        {"200": {"ETag", "Idempotent-Replayed"}, "201": MADE}, "CartItemCreate", "CartItemPublic",
    ),
    "/orders": ({"201", "400", "401", "403", "413", "422", "429", "503"}, {"201": MADE}, None, "OrderPublic"),
    "/orders/{id}/cancel": (STEP, {"200": REPEATABLE}, None, "OrderPublic"),
    "/orders/{id}/ship": (STEP, {"200": REPEATABLE}, None, "OrderPublic"),
    "/orders/{id}/deliver": (STEP, {"200": REPEATABLE}, None, "OrderPublic"),
}  # fmt: skip


@pytest.fixture(scope="module")
def document(client: TestClient) -> Any:
    """The document as it is served."""
    return resolved(client.get("/openapi.json").json())


def schema_of(content: Any) -> str:
    """Return the name of the schema of a JSON body."""
    return str(content["content"]["application/json"]["schema"]["$ref"]).rpartition("/")[2]


@pytest.mark.parametrize("path", ROUTES)
def test_a_route_is_documented(document: Any, path: str) -> None:
    """With exactly these responses. It needs a caller."""
    statuses, headers, body, answer = ROUTES[path]
    operation = document["paths"][f"/api/v1{path}"]["post"]
    assert set(operation["responses"]) == statuses
    for status, names in headers.items():
        described = operation["responses"][status]
        assert (set(described["headers"]), schema_of(described)) == ({*names, "X-Request-ID"}, answer)
    assert (schema_of(operation["requestBody"]) if "requestBody" in operation else None) == body
    assert operation["security"]


def test_an_order_shows_its_lines(document: Any) -> None:
    """As members with types. Money is a number."""
    schemas = document["components"]["schemas"]
    order, line = schemas["OrderPublic"], schemas["OrderLinePublic"]
    assert order["properties"]["lines"]["items"] == {"$ref": "#/components/schemas/OrderLinePublic"}
    assert "lines" in order["required"]
    assert set(line["required"]) == {"book_id", "title", "unit_price", "quantity"}
    assert line["properties"]["unit_price"]["type"] == order["properties"]["total"]["type"] == "number"
    assert {name for name in schemas if "Order" in name or "__" in name} == {
        "OrderLinePublic", "OrderPartial", "OrderPublic", "OrderStatus", "Page_OrderPartial_", "Page_OrderPublic_",
        "OrderAggregate", "OrderAggregates", "OrderEmbedded", "OrderExtremes", "OrderNumbers",
    }  # fmt: skip


def test_orders_have_no_other_operation(document: Any) -> None:
    """The document has no operation that could not succeed."""
    found = {
        (method, path.removeprefix("/api/v1/orders"))
        for path, item in document["paths"].items()
        if path.startswith("/api/v1/orders")
        for method in item
        if not path.endswith("/export")
    }
    steps = {("post", f"/{{id}}/{step}") for step in ("cancel", "ship", "deliver")}
    assert found == {("get", ""), ("get", "/aggregate"), ("post", ""), ("get", "/{id}"), *steps}
