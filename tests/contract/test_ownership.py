"""The ownership property: whatever a second user asks, it is as if the first one's row did not exist (CONTRACT §4, §6).

Every request that can name the row is sent twice by a stranger: while the row is there, and again once an administrator has deleted
it. If the answers are the same byte for byte, nothing of the row was seen: not its values, not its place, not that it exists.
"""

import base64
import json
import secrets as randomness
from typing import Any

import pytest
from httpx2 import Response

from backend.crud.base import CRUDBase
from backend.crud.registry import Registration
from tests.conftest import sign_up, unique
from tests.contract.cases import REGISTRIES, every_house
from tests.contract.house import BODIES, Headers, House, Row, World
from tests.contract.strangers import PROBES, Probe, Secret, probes_of_list, unknown_ways

# What makes a row of an entity with a `scope` of its own invisible to all but administrators.
HIDING: dict[str, Row] = {"parcels": {"status": "hidden"}}
# What differs between two answers to one request.
PASSING_HEADERS = {"x-request-id"}


def hides_rows(registration: Registration) -> bool:
    """Whether there are rows that not every reader sees."""
    return registration.resource.owner_only or registration.crud.scope is not CRUDBase.scope


def shows_but_keeps(registration: Registration) -> bool:
    """Whether others read a row that they may not change."""
    return registration.resource.owner is not None and not registration.resource.owner_only


def body_of(house: House, who: Headers, **values: Any) -> Row:
    """A valid body without nulls, with texts that are nowhere else; what it refers to, and is private, is the caller's own."""
    ruled = BODIES[house.plan.path](0) if house.plan.path in BODIES else {}
    private = {name: house.world.house_of(column.table.name) for name, column in house.references.items()}
    for name, target in private.items():
        if target.plan.owner_only and name not in values:
            bare = {name: None} if target.plan is house.plan else {}
            values[name] = make(target, who, **bare).json()["id"]
    body = house.body(**values)
    for name in body.keys() - values.keys() - ruled.keys() - private.keys():
        schema = house.create[name]
        if house.world.bodies.kind(schema) == "string":
            body[name] = f"mark {randomness.token_hex(5)}"
        elif body[name] is None:
            body[name] = house.value(name, schema, 2)
    return body


def make(house: House, who: Headers, **values: Any) -> Response:
    """The answer that brought a new row."""
    answer = house.call("POST", "", who, json=body_of(house, who, **values))
    assert answer.status_code == 201, answer.text
    return answer


def cursors(house: House, who: Headers, **query: Any) -> tuple[str, ...]:
    """A cursor behind the first row of each sort."""
    words = house.parameters["sort"]["items"]["enum"]
    found = [house.list(who, sort=word, size=1, **query)["next_cursor"] for word in words]
    return tuple(cursor for cursor in found if cursor)


def secret_of(house: House, owner: Headers, stranger: Headers) -> Secret:
    """A row between two of the owner's and two of the stranger's."""
    hiding = {} if house.plan.owner_only else HIDING.get(house.plan.path, {})
    own = make(house, stranger).json()
    first = make(house, owner, **hiding).json()["id"]
    answer = make(house, owner, **hiding)
    row = answer.json()
    make(house, owner, **hiding)
    make(house, stranger)
    theirs = cursors(house, owner, id__in=f"{first},{row['id']}")
    return Secret(house, row, answer.headers["etag"], theirs, own, cursors(house, stranger))


def send(probe: Probe, secret: Secret, who: Headers) -> Response:
    """The answer to a probe."""
    return (probe.house or secret.house).call(probe.method, probe.tail, who, **dict(probe.options))


def told(answer: Response) -> tuple[int, bytes, list[tuple[str, str]]]:
    """All that an answer tells."""
    headers = [(name, value) for name, value in answer.headers.items() if name not in PASSING_HEADERS]
    return answer.status_code, answer.content, sorted(headers)


def shown(answer: Response) -> str:
    """An answer in one text, with the place that its cursor holds."""
    text = f"{answer.headers} {answer.text}"
    page = answer.json() if answer.content and answer.status_code == 200 else {}
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
    tails = paths(secret.house)
    return [probe for kind, make_probes in PROBES.items() if kind in tails for probe in make_probes(secret)]


def paths(house: House) -> set[tuple[str, str]]:
    """The operations of an entity, as the document has them."""
    document = house.world.document["paths"]
    found = {
        path.removeprefix(house.path): item
        for path, item in document.items()
        if f"{path}/".startswith(f"{house.path}/")
    }
    return {(method, tail) for tail, item in found.items() for method in item}


def callers(house: House) -> tuple[Headers, Headers]:
    """The owner of the row, and a stranger who has nothing yet."""
    owner = house.world.caller("owner") if house.owner else house.world.admin
    return owner, sign_up(house.world.client, "driver")


@pytest.mark.parametrize("side", REGISTRIES)
def test_every_way_to_name_a_row_is_known(side: str, request: pytest.FixtureRequest, backend: str) -> None:
    """An operation or a parameter that is new must be taught to `strangers`, or this property is not held for it."""
    world: World = request.getfixturevalue(f"{side}_world")
    unknown = unknown_ways(world.document, world.registry.registrations, world.registry.prefix)
    assert unknown == [], "teach tests/contract/strangers.py how these name a row"


@every_house("list", "create", "get", where=hides_rows)
def test_a_row_out_of_sight_is_as_good_as_none(house: House) -> None:
    """No answer to a stranger changes when the row goes; none holds a mark of it; nothing they send changes it."""
    owner, stranger = callers(house)
    secret = secret_of(house, owner, stranger)
    must_find(secret, owner)
    stored = house.call("GET", secret.path)
    sent = probes(secret)
    answers = [send(probe, secret, stranger) for probe in sent]
    assert told(house.call("GET", secret.path)) == told(stored)
    for probe, answer in zip(sent, answers, strict=True):
        assert answer.status_code == 200 if (probe.method, probe.tail) == ("GET", "") else answer.status_code < 500, (
            probe
        )
        assert [mark for mark in marks(secret) if mark in shown(answer)] == [], probe
    for row in (secret.row, secret.own):
        assert house.stored(row) == row
    assert house.call("DELETE", secret.path).status_code == 204
    for probe, answer in zip(sent, answers, strict=True):
        assert told(send(probe, secret, stranger)) == told(answer), probe


def must_find(secret: Secret, owner: Headers) -> None:
    """What the probes ask for is there for its owner, so that the property is not held by asking for nothing."""
    for probe in probes_of_list(secret):
        query = probe.options["params"]
        if query.keys() <= secret.row.keys() | {"search"}:
            assert secret.row in secret.house.list(owner, **{"id__gte": secret.row["id"], **query})["items"], probe
    assert len(secret.cursors) > 1
    assert len(secret.own_cursors) > 1


@every_house("list", "create", "get", where=shows_but_keeps)
def test_a_row_in_sight_stays_as_it_is(house: House) -> None:
    """Of what a stranger sends, no operation that writes succeeds, and the row keeps every byte and its version."""
    owner, stranger = callers(house)
    secret = secret_of(house, owner, stranger)
    stored = house.call("GET", secret.path)
    for probe in probes(secret):
        if probe.house is None and probe.method not in ("GET", "HEAD", "OPTIONS"):
            assert send(probe, secret, stranger).status_code in range(400, 500), probe
            assert send(probe, secret, {}).status_code in range(400, 500), probe
    assert told(house.call("GET", secret.path)) == told(stored)
    assert house.stored(secret.own) == secret.own


@every_house("create", where=hides_rows)
@pytest.mark.parametrize("tail", ["", "/batch"])
def test_a_key_of_the_owner_gives_nothing_to_another(house: House, tail: str) -> None:
    """The same key with the same body is the stranger's own request: they get a row of their own, or an error."""
    owner, stranger = callers(house)
    body, key = body_of(house, owner), {"Idempotency-Key": unique("theirs")}
    sent: Any = [body] if tail else body
    first = house.call("POST", tail, owner, json=sent, extra=key)
    assert first.status_code == 201, first.text
    row = first.json()[0] if tail else first.json()
    second = house.call("POST", tail, stranger, json=sent, extra=key)
    assert "idempotent-replayed" not in second.headers
    assert row["created_at"] not in second.text
    assert second.status_code in (201, 409)
    assert house.call("POST", tail, owner, json=sent, extra=key).content == first.content
    assert house.stored(row) == row
