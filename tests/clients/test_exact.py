"""Every operation responds as the document describes it, for every response that a client can cause."""

from typing import Any

from httpx2 import Response

from tests.clients.probes import FORM, JSON, Operation, Prober
from tests.conftest import sign_up, unique
from tests.contract.entity_client import Headers, RunningApp

ROW_OPERATIONS = {"list", "create", "get", "update", "put", "delete"}
EMPTY: Headers = {}


def test_every_answer_is_documented_and_every_refusal_is_met(running_app: RunningApp) -> None:
    """Without credentials and with bad ones, for a disabled account, with strange words, bodies and headers."""
    prober = Prober(running_app.client, running_app.bodies, running_app.document, running_app.admin)
    user = sign_up(running_app.client)
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


def test_the_life_of_a_row_is_documented(running_app: RunningApp) -> None:
    """Every success, with its headers, and the refusals that need a row."""
    prober = Prober(running_app.client, running_app.bodies, running_app.document, running_app.admin)
    for path, registration in running_app.registry.registrations.items():
        if set(registration.operations) >= ROW_OPERATIONS:
            live(prober, running_app, path)


def live(prober: Prober, running_app: RunningApp, path: str) -> None:
    """Make a row, twice with one key; read, list, change and delete it, at the right version and at another."""
    entity = running_app.entity(path)
    found = {(operation.method, operation.path): operation for operation in prober.operations.values()}
    key, stale = {"Idempotency-Key": unique("key")}, {"If-Match": '"stale"'}
    body, second = entity.body(), entity.body()
    change, other = ({n: value for n, value in sent.items() if n in entity.update} for sent in (body, second))

    def call(method: str, tail: str = "", *, row: object = "", headers: Headers = EMPTY, **options: Any) -> Response:
        operation = found[method, entity.path + tail]
        url = entity.path + tail.replace("{id}", str(row))
        answer = running_app.client.request(method, url, headers={**running_app.admin, **headers}, **options)
        prober.hold(operation, answer)
        return answer

    created = call("POST", json=body, headers=key)
    assert created.status_code == 201, created.text
    assert call("POST", json=body, headers=key).headers["Idempotent-Replayed"] == "true"
    row, tag = created.json()["id"], {"If-None-Match": created.headers["ETag"]}
    assert call("GET").status_code == 200
    statuses = [call("GET", "/{id}", row=row, headers=headers).status_code for headers in (EMPTY, tag)]
    if "304" in found["GET", f"{entity.path}/{{id}}"].described["responses"]:
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
