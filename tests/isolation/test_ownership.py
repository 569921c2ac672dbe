"""The ownership property: to a second user, the first user's row does not exist (docs/contract.md §4, §6).

A second user sends every request that can name the row twice: while the row exists, and after an administrator has
deleted it. Requests for deleted rows are sent a third time, when nothing of the row is stored. If the responses are
equal byte for byte, the user has learned nothing: neither values, nor positions, nor whether the row exists or did.
"""

import base64
import json
from typing import Any

import pytest
from httpx2 import Response

from rowhouse.query.resource import Relation
from tests.conftest import unique
from tests.contract.entity_client import EntityClient, Headers, RunningApp
from tests.contract.registrations import every_entity
from tests.isolation.private_rows import (
    body_of,
    callers,
    forget,
    hidden,
    hides_rows,
    linked,
    make,
    secret_of,
    shows_but_keeps,
)
from tests.isolation.probes import Probe, Secret, selections
from tests.isolation.request_probes import PROBES, kind_of, unknown_ways
from tests.isolation.row_probes import leading_to, lines

# What differs between two answers to one request.
PASSING_HEADERS = {"x-request-id"}


def send(probe: Probe, secret: Secret, who: Headers) -> Response:
    """The answer to a probe."""
    return (probe.entity or secret.entity).call(probe.method, probe.tail, who, **dict(probe.options))


def told(answer: Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All that an answer tells."""
    headers = [(name, value) for name, value in answer.headers.items() if name not in PASSING_HEADERS]
    return answer.status_code, answer.content, sorted(headers)


def shown(answer: Response) -> str:
    """An answer in one text, with the place that its cursor holds."""
    text = f"{answer.headers} {answer.text}"
    is_json = answer.headers.get("content-type") == "application/json" and answer.status_code == 200
    page = answer.json() if is_json else {}
    cursor = page.get("next_cursor") if isinstance(page, dict) else None
    if cursor:
        claims = cursor.split(".")[1]
        text += json.dumps(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["at"])
    return text


def marks(secret: Secret) -> list[str]:
    """What would give the row away: its texts, when it was made, and its tag."""
    words = [value for value in secret.row.values() if isinstance(value, str) and value.startswith("mark ")]
    return [*words, secret.row["created_at"], secret.tag.strip('"')]


def probes(secret: Secret) -> list[Probe]:
    """Every probe of every operation of the entity."""
    tails = paths(secret.entity)
    return [probe for kind, make_probes in PROBES.items() if kind in tails for probe in make_probes(secret)]


def paths(entity: EntityClient) -> set[tuple[str, str]]:
    """The operations of an entity, as the document has them."""
    document = entity.running_app.document["paths"]
    found = {
        path.removeprefix(entity.path): item
        for path, item in document.items()
        if f"{path}/".startswith(f"{entity.path}/")
    }
    return {kind_of(entity.registration, method, tail) for tail, item in found.items() for method in item}


def test_every_way_to_name_a_row_is_known(running_apps: list[RunningApp]) -> None:
    """A new operation or parameter must be added to the probes, or this property is not tested for it."""
    for running_app in running_apps:
        assert unknown_ways(running_app.api) == [], "teach tests/isolation/request_probes.py how these name a row"


@every_entity("list", "create", "get", where=hides_rows)
def test_a_row_out_of_sight_is_as_good_as_none(entity: EntityClient) -> None:
    """No answer to a stranger changes when the row goes; none holds a mark of it; nothing they send changes it."""
    owner, stranger = callers(entity)
    secret = secret_of(entity, owner, stranger)
    must_find(secret, owner)
    stored = entity.call("GET", secret.path)
    sent = probes(secret)
    answers = [send(probe, secret, stranger) for probe in sent]
    assert told(entity.call("GET", secret.path)) == told(stored)
    for probe, answer in zip(sent, answers, strict=True):
        assert answer.status_code in allowed(probe), (probe, answer.text)
        assert [mark for mark in marks(secret) if mark in shown(answer)] == [], probe
    for row in (secret.row, secret.own):
        assert entity.stored(row) == row
    assert entity.call("DELETE", secret.path).status_code == 204
    for probe, answer in zip(sent, answers, strict=True):
        assert told(send(probe, secret, stranger)) == told(answer), probe
    assert entity.call("GET", secret.path).status_code == 404
    must_come_back(secret)
    forget(secret)
    for probe, answer in zip(sent, answers, strict=True):
        if probe.tail.startswith(secret.path):
            assert told(send(probe, secret, stranger)) == told(answer), probe


def allowed(probe: Probe) -> range | tuple[int, ...]:
    """What a probe may be answered with; `expand` is 403 where the related entity is closed to the stranger."""
    query = probe.options.get("params", {})
    if probe.method != "GET" or probe.tail not in ("", "/export") or (probe.tail and "cursor" in query):
        return (403, 409) if probe.entity and probe.method == "POST" else range(200, 500)
    return (200, 403) if "expand" in query or probe.entity else (200,)


def must_come_back(secret: Secret) -> None:
    """What was deleted is kept, and its owner still reads its history, so that the stranger was kept from something."""
    entity = secret.entity
    if entity.resource.history:
        last = entity.call("GET", f"{secret.path}/history").json()["items"][-1]
        assert (last["action"], last["before"]) == ("delete", secret.row)
    if entity.resource.soft_delete:
        back = entity.call("POST", f"{secret.path}/restore")
        assert back.json() == {**secret.row, "updated_at": back.json()["updated_at"]}
        assert entity.call("DELETE", secret.path).status_code == 204


def must_find(secret: Secret, owner: Headers) -> None:
    """What the probes ask for is there for its owner, so that the property is not held by asking for nothing."""
    for query in selections(secret):
        if query.keys() <= secret.row.keys() | {"search"}:
            narrowed = {"id__gte": secret.row["id"], **query}
            assert secret.row in secret.entity.list(owner, **narrowed)["items"], query
            file = secret.entity.call("GET", "/export", owner, params={"format": "ndjson", **narrowed})
            assert json.dumps(secret.row, ensure_ascii=False, separators=(",", ":")) in file.text.splitlines(), query
    assert len(secret.cursors) > 1
    assert len(secret.own_cursors) > 1


@every_entity("list", "create", "get", where=hides_rows)
def test_a_relation_out_of_sight_embeds_nothing(entity: EntityClient) -> None:
    """A row that the stranger reads and that leads to the private one, in either direction, embeds null or a list without it."""
    owner, stranger = callers(entity)
    for near, relation in leading_to(entity):
        answer = make(entity, owner, **hidden(entity))
        secret = Secret(entity, answer.json(), answer.headers["etag"], (), {}, ())
        row = linked(near, relation, secret, stranger)
        for more in ({}, {"fields": "id"}):
            view = {"expand": relation.name, **more}
            for tail, query in ((f"/{row['id']}", view), ("", {"id": row["id"], **view})):
                assert secret.row["id"] in embedded(near.call("GET", tail, params=query), relation)
                seen = near.call("GET", tail, stranger, params=query)
                assert seen.status_code == 200 if near.resource.read.roles is None else seen.status_code == 403
                assert seen.status_code == 403 or embedded(seen, relation) == []
                assert [mark for mark in marks(secret) if mark in shown(seen)] == []


def embedded(answer: Response, relation: Relation) -> list[Any]:
    """The ids of what is embedded in the one row of an answer."""
    row = answer.json()
    found = row["items"][0][relation.name] if "items" in row else row[relation.name]
    return [one["id"] for one in (found if relation.many else [found] if found else [])]


@every_entity("list", "create", "get", where=shows_but_keeps)
def test_a_row_in_sight_stays_as_it_is(entity: EntityClient) -> None:
    """Of what a stranger sends, no operation that writes succeeds, and the row keeps every byte and its version."""
    owner, stranger = callers(entity)
    secret = secret_of(entity, owner, stranger)
    stored = entity.call("GET", secret.path)
    for probe in probes(secret):
        if probe.entity is None and probe.method not in ("GET", "HEAD", "OPTIONS"):
            assert send(probe, secret, stranger).status_code in range(400, 500), probe
            assert send(probe, secret, {}).status_code in range(400, 500), probe
    assert told(entity.call("GET", secret.path)) == told(stored)
    assert entity.stored(secret.own) == secret.own
    if not entity.resource.soft_delete:
        return
    assert entity.call("DELETE", secret.path).status_code == 204
    for who, status in ((stranger, 403), ({}, 401)):
        assert entity.call("POST", f"{secret.path}/restore", who).status_code == status
    assert entity.call("GET", secret.path).status_code == 404


@every_entity("create", where=hides_rows)
@pytest.mark.parametrize("tail", ["", "/batch", "/import"])
def test_a_key_of_the_owner_gives_nothing_to_another(entity: EntityClient, tail: str) -> None:
    """The same key with the same body is the stranger's own request: they get a row of their own, or an error."""
    owner, stranger = callers(entity)
    body, key = body_of(entity, owner), {"Idempotency-Key": unique("theirs")}
    options: dict[str, Any] = {"json": [body] if tail else body, "extra": key}
    if tail == "/import":
        options = {"content": lines([body]), "extra": {**key, "Content-Type": "application/x-ndjson"}}
    first = entity.call("POST", tail, owner, **options)
    assert first.status_code == 201, first.text
    row = entity.list(sort="-id", size=1)["items"][0]
    second = entity.call("POST", tail, stranger, **options)
    assert "idempotent-replayed" not in second.headers
    assert row["created_at"] not in second.text
    assert second.status_code in (201, 403, 409)
    assert entity.call("POST", tail, owner, **options).content == first.content
    assert entity.stored(row) == row
