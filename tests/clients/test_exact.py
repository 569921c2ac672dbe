"""The document is exact: every operation, asked for whatever a client can provoke, answers as it is described, and no otherwise."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from app.api import registry as product_registry
from tests.clients.probes import FORM, JSON, Operation, Prober
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, sign_in, sign_up, unique
from tests.contract.entity_client import Headers, World
from tests.databases import Databases
from tests.openapi_documents import DOCUMENTS
from tests.sample_entities.odd.application import open_odd
from tests.sample_entities.odd.registry import registry as odd_registry

ROW_OPERATIONS = {"list", "create", "get", "update", "put", "delete"}
EMPTY: Headers = {}


@pytest.fixture(scope="module")
def worlds(backend: str, make_app: Callable[..., TestClient], databases: Databases) -> Iterator[dict[str, World]]:
    """Both applications on each database, for this module alone: a probe may change an account."""
    with open_odd(databases, backend) as odd:
        clients = {"product": (make_app(backend), product_registry), "odd": (odd, odd_registry)}
        yield {
            name: World(client, registry, sign_in(client, ADMIN_EMAIL, ADMIN_PASSWORD))
            for name, (client, registry) in clients.items()
        }


@pytest.fixture(params=DOCUMENTS)
def world(request: pytest.FixtureRequest, worlds: dict[str, World]) -> World:
    """One of them."""
    return worlds[request.param]


def test_every_answer_is_documented_and_every_refusal_is_met(world: World) -> None:
    """Without credentials and with bad ones, for a disabled account, with strange words, bodies and headers."""
    prober = Prober(world.client, world.bodies, world.document, world.admin)
    user = sign_up(world.client)
    for operation in prober.operations.values():
        prober.probe(operation, user)
    for operation in prober.operations.values():
        missing = expected(operation) - prober.seen[operation.name]
        assert not missing, (operation.name, missing)


def expected(operation: Operation) -> set[int]:
    """The documented refusals that the probes must have met."""
    documented = {int(status) for status in operation.described["responses"]}
    reads_token = {401, 403} if operation.security else set()
    assert reads_token <= documented, operation.name
    row = {404} if "{id}" in operation.path and not operation.media_types else set()
    # Bodies of other types, such as files, may be larger than the probes'.
    large = {413} if {JSON, FORM} & set(operation.media_types) else set()
    return ({415, 422} | large | reads_token | row) & documented


def test_the_life_of_a_row_is_documented(world: World) -> None:
    """Every success, with its headers, and the refusals that need a row."""
    prober = Prober(world.client, world.bodies, world.document, world.admin)
    for path, registration in world.registry.registrations.items():
        if set(registration.operations) >= ROW_OPERATIONS:
            live(prober, world, path)


def live(prober: Prober, world: World, path: str) -> None:
    """Make a row, twice with one key; read, list, change and delete it, at the right version and at another."""
    house = world.house(path)
    found = {(operation.method, operation.path): operation for operation in prober.operations.values()}
    key, stale = {"Idempotency-Key": unique("key")}, {"If-Match": '"stale"'}
    body, second = house.body(), house.body()
    change, other = ({n: value for n, value in sent.items() if n in house.update} for sent in (body, second))

    def call(method: str, tail: str = "", *, row: object = "", headers: Headers = EMPTY, **options: Any) -> Response:
        operation = found[method, house.path + tail]
        url = house.path + tail.replace("{id}", str(row))
        answer = world.client.request(method, url, headers={**world.admin, **headers}, **options)
        prober.hold(operation, answer)
        return answer

    created = call("POST", json=body, headers=key)
    assert created.status_code == 201, created.text
    assert call("POST", json=body, headers=key).headers["Idempotent-Replayed"] == "true"
    row, tag = created.json()["id"], {"If-None-Match": created.headers["ETag"]}
    assert call("GET").status_code == 200
    statuses = [call("GET", "/{id}", row=row, headers=headers).status_code for headers in (EMPTY, tag)]
    if "304" in found["GET", f"{house.path}/{{id}}"].described["responses"]:
        assert statuses == [200, 304]
    assert call("PATCH", "/{id}", row=row, json={}).status_code == 400
    assert call("PATCH", "/{id}", row=row, json=change, headers=stale).status_code == 412
    assert call("PUT", "/{id}", row=row, json=change).status_code == 200
    assert call("DELETE", "/{id}", row=row, headers=stale).status_code == 412
    assert call("DELETE", "/{id}", row=row).status_code == 204
    batch = call("POST", "/batch", json=[second], headers={"Idempotency-Key": unique("key")})
    assert batch.status_code == 201, batch.text
    ids = [entry["id"] for entry in batch.json()]
    assert call("PATCH", "/batch", json=[{"id": each, **other} for each in ids]).status_code == 200
    assert call("DELETE", "/batch", params={"ids": ",".join(map(str, ids))}).status_code == 204
