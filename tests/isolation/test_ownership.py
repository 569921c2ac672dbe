"""The ownership property: to a second user, the first user's row does not exist (docs/contract.md §4, §6).

A second user sends every request that can name the row twice: while the row exists, and after an administrator has
deleted it. Requests for deleted rows are sent a third time, when nothing of the row is stored. If the responses are
equal byte for byte, the user has learned nothing: neither values, nor positions, nor whether the row exists or did.
"""

import base64
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

import pytest
from httpx2 import Response

from rowhouse.query.resource import Relation
from rowhouse.registration.registry import Registration
from tests.conftest import unique
from tests.contract.entity_client import EntityClient, Headers, Row, RunningApp
from tests.contract.registrations import every_entity
from tests.isolation.private_rows import (
    body_of,
    callers,
    forget,
    hidden,
    hides_rows,
    linked,
    made_to_lead,
    make,
    secret_of,
    shows_but_keeps,
)
from tests.isolation.probes import Probe, Secret, leading_to, relations, selections
from tests.isolation.request_probes import PROBES, kind_of, unknown_ways
from tests.isolation.row_probes import file_of, filters_by, lines, unique_keys

# What differs between two answers to one request.
PASSING_HEADERS = {"x-request-id"}


def send(probe: Probe, secret: Secret, who: Headers) -> Response:
    """The answer to a probe."""
    return (probe.entity or secret.entity).call(probe.method, probe.tail, who, **dict(probe.options))


def content_of(answer: Response) -> tuple[int, bytes, list[tuple[str, str]]]:
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
    assert content_of(entity.call("GET", secret.path)) == content_of(stored)
    names = relations(entity.running_app)[entity.resource.path]
    for probe, answer in zip(sent, answers, strict=True):
        assert answer.status_code in allowed(probe, names), (probe, answer.text)
        assert [mark for mark in marks(secret) if mark in shown(answer)] == [], probe
    for row in (secret.row, secret.own):
        assert entity.stored(row) == row
    assert entity.call("DELETE", secret.path).status_code == 204
    for probe, answer in zip(sent, answers, strict=True):
        assert content_of(send(probe, secret, stranger)) == content_of(answer), probe
    assert entity.call("GET", secret.path).status_code == 404
    must_come_back(secret)
    forget(secret)
    for probe, answer in zip(sent, answers, strict=True):
        if probe.tail.startswith(secret.path):
            assert content_of(send(probe, secret, stranger)) == content_of(answer), probe


def allowed(probe: Probe, relations: Collection[str]) -> range | tuple[int, ...]:
    """What a probe may be answered with; it is 403 if it follows a relation that is closed to the stranger."""
    query = probe.options.get("params", {})
    if probe.method != "GET" or probe.tail not in ("", "/export", "/aggregate") or (probe.tail and "cursor" in query):
        return (403, 409) if probe.entity and probe.method != "GET" else range(200, 500)
    words = [*query, *re.findall(r'[{,] ?"(\w+)":', str(query.get("any")))]
    follows = "expand" in query or any(name.partition("__")[0] in relations for name in words)
    return (200, 403) if follows or probe.entity else (200,)


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
    found = relations(secret.entity.running_app)[secret.entity.resource.path].values()
    leading = {f"{one.name}__{one.remote}" for one in found if not one.many and one.target.read.roles is None}
    for query in selections(secret):
        if query.keys() <= secret.row.keys() | {"search", *leading}:
            narrowed = {"id__gte": secret.row["id"], **query}
            assert secret.row in secret.entity.list(owner, **narrowed)["items"], query
            file = secret.entity.call("GET", "/export", owner, params={"format": "ndjson", **narrowed})
            assert json.dumps(secret.row, ensure_ascii=False, separators=(",", ":")) in file.text.splitlines(), query
            counted = secret.entity.call("GET", "/aggregate", owner, params={"group_by": "id", **narrowed})
            assert {"id": secret.row["id"], "count": 1} in counted.json()["items"], query
    assert len(secret.cursors) > 1
    assert len(secret.own_cursors) > 1


@every_entity("list", "create", "get", where=hides_rows)
def test_a_relation_out_of_sight_embeds_and_selects_nothing(entity: EntityClient) -> None:
    """A row that the stranger reads and that leads to the private one, in either direction, embeds null or a list without it.

    No filter by a value of the private row selects it: not in a page, an export or an aggregate.
    """
    owner, stranger = callers(entity)
    for near, relation in leading_to(entity):
        answer = make(entity, owner, **hidden(entity))
        secret = Secret(entity, answer.json(), answer.headers["etag"], (), {}, ())
        row = linked(near, relation, secret, stranger)
        secret = replace(secret, row=entity.stored(secret.row))  # the link may be a value of its own
        for more in ({}, {"fields": "id"}):
            view = {"expand": relation.name, **more}
            for tail, query in ((f"/{row['id']}", view), ("", {"id": row["id"], **view})):
                must_embed_nothing(secret, near, (relation,), stranger, (tail, query))
        must_select_nothing(secret, near, relation, stranger, row)
        for far, first in leading_to(near):
            changed = (far, first.local) if not first.many else (near, first.remote)
            if stays_in_sight(*changed, entity) and first.remote != relation.local:
                start = made_to_lead(far, first, near, row, stranger)
                query = {"expand": f"{first.name}.{relation.name}"}
                must_embed_nothing(secret, far, (first, relation), stranger, (f"/{start['id']}", query))


def stays_in_sight(changed: EntityClient, column: str, entity: EntityClient) -> bool:
    """Whether a row does not change hands, and is not hidden, by another value in this column."""
    return column not in (changed.owner, *(hidden(changed) if changed.resource is entity.resource else ()))


def must_embed_nothing(
    secret: Secret, near: EntityClient, hops: Sequence[Relation], stranger: Headers, asked: tuple[str, dict[str, Any]]
) -> None:
    """An administrator finds the private row at the end of the relations, the stranger nothing of it."""
    tail, query = asked
    known = near.call("GET", tail, params=query)
    assert secret.row["id"] in [row["id"] for row in embedded(known, hops)], known.text
    seen = near.call("GET", tail, stranger, params=query)
    opens = all(one.read.roles is None for one in (near.resource, *(hop.target for hop in hops)))
    assert seen.status_code == 200 if opens else seen.status_code in (200, 403)
    assert seen.status_code == 403 or secret.row["id"] not in [row["id"] for row in embedded(seen, hops)]
    assert [mark for mark in marks(secret) if mark in shown(seen)] == []


def must_select_nothing(secret: Secret, near: EntityClient, relation: Relation, stranger: Headers, row: Row) -> None:
    """A filter by what is related selects the row for an administrator, and nothing for the stranger."""
    remote = f"{relation.name}__{relation.remote}"
    for found in (*filters_by(secret, relation.name), {f"{remote}__isnull": "false"}):
        query = {**found, "id": row["id"]}
        assert near.list(**query)["total"] == 1, query
        for tail, more, nothing in (
            ("", {}, '"items":[],"total":0,'),
            ("/export", {"format": "ndjson"}, ""),
            ("/aggregate", {}, '{"items":[{"count":0}]}'),
        ):
            seen = near.call("GET", tail, stranger, params={**query, **more})
            if near.resource.read.roles is None:
                assert seen.status_code == 200
                assert nothing in seen.text if tail == "" else seen.text == nothing, (tail, query)
            else:
                assert seen.status_code == 403


def embedded(answer: Response, hops: Sequence[Relation]) -> list[Row]:
    """The rows that are embedded at the end of relations in the one row of an answer."""
    page = answer.json()
    rows: list[Row] = page.get("items", [page])
    for relation in hops:
        found = [row[relation.name] for row in rows]
        rows = [one for related in found for one in (related if relation.many else [related] if related else [])]
    return rows


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
    assert content_of(entity.call("GET", secret.path)) == content_of(stored)
    assert entity.stored(secret.own) == secret.own
    if not entity.resource.soft_delete:
        return
    assert entity.call("DELETE", secret.path).status_code == 204
    for who, status in ((stranger, 403), ({}, 401)):
        assert entity.call("POST", f"{secret.path}/restore", who).status_code == status
    assert entity.call("GET", secret.path).status_code == 404


def is_of_others(registration: Registration) -> bool:
    """Whether there are rows that a caller may not change, in sight or out of it."""
    return hides_rows(registration) or shows_but_keeps(registration)


@every_entity("create", "get", where=is_of_others)
@pytest.mark.parametrize("tail", ["/batch", "/import"])
def test_an_upsert_never_reaches_the_row_of_another(entity: EntityClient, tail: str) -> None:
    """By the row's unique key it is refused as a create is, whatever the other members are, and nothing is stored.

    If the row is in sight it is 403. A key with the owner in it leads to the stranger's own row.
    """
    for on in unique_keys(entity):
        owner, stranger = callers(entity)
        secret = secret_of(entity, owner, stranger)
        stored, mine = entity.call("GET", secret.path), body_of(entity, stranger)
        names = [name for name in on.split(",") if name in entity.create]
        body = {**mine, **{name: secret.row[name] for name in names}}
        same = {name: secret.row[name] for name in body if name not in entity.references}
        is_own, is_hidden = entity.owner in on.split(","), hides_rows(entity.registration)
        for guess in (body, {**body, **same}):
            for rows in ([guess], [mine, guess]):
                answer = write(entity, tail, stranger, rows, on=on)
                if not is_own and is_hidden:
                    created = write(entity, tail, stranger, rows)
                    assert (answer.status_code, answer.json()["code"]) == (created.status_code, created.json()["code"])
                    assert (answer.status_code, answer.json()["detail"]) == (409, created.json()["detail"])
                elif not is_own:
                    assert answer.status_code == 403, answer.text
                assert not is_hidden or [mark for mark in marks(secret) if mark in shown(answer)] == []
        assert content_of(entity.call("GET", secret.path)) == content_of(stored)
        assert is_own or entity.list(**{name: mine[name] for name in names})["total"] == 0


def write(entity: EntityClient, tail: str, who: Headers, rows: list[Row], **query: str) -> Response:
    """The answer to a batch or an import."""
    options = {"json": rows} if tail == "/batch" else file_of(rows)
    return entity.call("POST", tail, who, params=query, **options)


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
