"""The document describes hand-written routes correctly in every form that FastAPI allows."""

from typing import Annotated, Any

import pytest
from fastapi import Body, Security
from fastapi.security import APIKeyHeader

from rowhouse.core.openapi import resolved
from rowhouse.core.policy import ANYONE, role
from rowhouse.http.routing import Router
from tests.core.conftest import Serve

API = "/api/v1"
Document = dict[str, Any]


def identity() -> int:
    """Return a constant."""
    return 1


@pytest.mark.parametrize(
    ("methods", "names"),
    [
        (["GET"], {"get": "identity"}),
        (["GET", "HEAD"], {"get": "identity"}),
        (["GET", "POST"], {"get": "identity_get", "post": "identity_post"}),
        (["HEAD", "PUT", "GET"], {"get": "identity_get", "put": "identity_put"}),
    ],
)
def test_each_method_of_a_route_is_an_operation_of_its_own_name(
    serve: Serve, methods: list[str], names: dict[str, str]
) -> None:
    """FastAPI gives all of them the same id, for which a generated client would have one function."""
    router = Router(policy=ANYONE)
    router.api_route("/probe", methods=methods)(identity)
    client = serve(router)
    item = resolved(client.get("/openapi.json").json())["paths"][f"{API}/probe"]
    assert {method: operation["operationId"] for method, operation in item.items()} == names
    assert {client.request(method, f"{API}/probe").status_code for method in methods} == {200}
    assert set(client.delete(f"{API}/probe").headers["allow"].split(", ")) == {*methods, "HEAD"}


def test_a_scheme_of_ones_own_is_defined(serve: Serve) -> None:
    """An operation names no security scheme that the document lacks."""
    router = Router()

    @router.get("/keyed")
    def read_keyed(key: Annotated[str, Security(APIKeyHeader(name="X-Key"))]) -> str:
        return key

    document = resolved(serve(router).get("/openapi.json").json())
    (requirement,) = document["paths"][f"{API}/keyed"]["get"]["security"]
    schemes = document["components"]["securitySchemes"]
    assert schemes[next(iter(requirement))] == {"type": "apiKey", "in": "header", "name": "X-Key"}
    assert "OAuth2PasswordBearer" in schemes


def test_a_body_has_the_media_type_that_its_route_says(serve: Serve) -> None:
    """Bytes of a type other than JSON. Any other type is 415, which names the right one."""
    router = Router()

    @router.post("/scan")
    def store_scan(scan: Annotated[bytes, Body(media_type="image/png")]) -> int:
        return len(scan)

    client = serve(router)
    assert client.post(f"{API}/scan", content=b"png", headers={"Content-Type": "image/png"}).json() == 3
    for kind in ("application/json", "image/gif", None):
        answer = client.post(f"{API}/scan", content=b"png", headers={"Content-Type": kind} if kind else {})
        assert (answer.status_code, answer.json()["detail"]) == (415, "Send the body as image/png.")


@pytest.mark.parametrize("names", [(), ("",), (["admin"],), (None,)])
def test_a_role_has_a_name(names: Any) -> None:
    """Nobody could satisfy a policy without a role."""
    with pytest.raises(TypeError, match="name the roles"):
        role(*names)
