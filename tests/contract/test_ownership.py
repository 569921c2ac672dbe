"""The ownership property: whatever a second user asks, it is as if the first one's row did not exist (CONTRACT §4, §6).

Every request that can name the row is sent twice by a stranger: while the row is there, and again once an administrator has deleted
it; what asks for deleted rows is sent a third time, once nothing of the row is kept. If the answers are the same byte for byte,
nothing of the row was seen: not its values, not its place, not that it exists or did.
"""

import base64
import json
import secrets as randomness
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from httpx2 import Response

from backend.core.errors import PermissionDeniedError
from backend.core.security import Caller
from backend.crud.archive import deleted_rows
from backend.crud.base import CRUDBase
from backend.crud.history import entries
from backend.crud.registry import Registration
from backend.crud.resource import Relation
from tests.conftest import sign_up, unique
from tests.contract.cases import REGISTRIES, every_house
from tests.contract.house import BODIES, Headers, House, Row, World
from tests.contract.kept import below
from tests.contract.probes import Probe, Secret, change_of, selections
from tests.contract.strangers import PROBES, unknown_ways
from tests.contract.ways import leading_to, lines
from tests.odd.registry import SICK

# What makes a row of an entity with a `scope` of its own invisible to all but administrators.
HIDING: dict[str, Callable[[House], Row]] = {
    "parcels": lambda _house: {"status": "hidden"},
    "branches": lambda house: {"parent_id": house.make(name=SICK, parent_id=None)["id"]},
}
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
            body[name] = new_mark()
        elif body[name] is None:
            body[name] = house.value(name, schema, 2)
    return body


def new_mark() -> str:
    """A text that is nowhere else."""
    return f"mark {randomness.token_hex(5)}"


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


def make_own(house: House, stranger: Headers) -> Response:
    """A row of the stranger's, or one in their sight where they may write none."""
    try:
        house.plan.write.check(Caller(0, "driver"))
    except PermissionDeniedError:
        stranger = house.world.admin
    return make(house, stranger)


def hidden(house: House) -> Row:
    """The values that hide a row from the stranger where its owner does not."""
    return {} if house.plan.owner_only else HIDING[house.plan.path](house)


def secret_of(house: House, owner: Headers, stranger: Headers) -> Secret:
    """A row between two of the owner's and two of the stranger's, changed once like the stranger's first."""
    values = hidden(house) if hides_rows(house.registration) else {}
    own = changed(house, make_own(house, stranger).json()).json()
    first = make(house, owner, **values).json()["id"]
    answer = changed(house, make(house, owner, **values).json())
    row = answer.json()
    make(house, owner, **values)
    make_own(house, stranger)
    theirs = cursors(house, owner, id__in=f"{first},{row['id']}")
    found, into = histories(house, row, own)
    return Secret(house, row, answer.headers["etag"], theirs, own, cursors(house, stranger), found, into)


def changed(house: House, row: Row) -> Response:
    """A row with another value in one member, a mark again where the member takes any text."""
    change = change_of(house, row)
    change |= {name: new_mark() for name in change if str(row[name]).startswith("mark ")}
    answer = house.call("PATCH", f"/{row['id']}", json=change)
    assert answer.status_code == 200, answer.text
    return answer


def histories(house: House, row: Row, own: Row) -> tuple[tuple[Row, ...], tuple[str, ...]]:
    """The entries of a row, and cursors behind the first entry of both; nothing where no history is kept."""
    if not house.plan.history:
        return (), ()
    pages = [house.call("GET", f"/{one['id']}/history", params={"size": 1}).json() for one in (row, own)]
    found = house.call("GET", f"/{row['id']}/history").json()["items"]
    assert [entry["after"] for entry in found][1:] == [row]
    return tuple(found), tuple(page["next_cursor"] for page in pages)


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
        assert answer.status_code in allowed(probe), (probe, answer.text)
        assert [mark for mark in marks(secret) if mark in shown(answer)] == [], probe
    for row in (secret.row, secret.own):
        assert house.stored(row) == row
    assert house.call("DELETE", secret.path).status_code == 204
    for probe, answer in zip(sent, answers, strict=True):
        assert told(send(probe, secret, stranger)) == told(answer), probe
    assert house.call("GET", secret.path).status_code == 404
    must_come_back(secret)
    forget(secret)
    for probe, answer in zip(sent, answers, strict=True):
        if probe.tail.startswith(secret.path):
            assert told(send(probe, secret, stranger)) == told(answer), probe


def allowed(probe: Probe) -> range | tuple[int, ...]:
    """What a probe may be answered with; `expand` is 403 where the related entity is closed to the stranger."""
    query = probe.options.get("params", {})
    if probe.method != "GET" or probe.tail not in ("", "/export") or (probe.tail and "cursor" in query):
        return (403, 409) if probe.house and probe.method == "POST" else range(200, 500)
    return (200, 403) if "expand" in query or probe.house else (200,)


def must_come_back(secret: Secret) -> None:
    """What was deleted is kept, and its owner still reads its history, so that the stranger was kept from something."""
    house = secret.house
    if house.plan.history:
        last = house.call("GET", f"{secret.path}/history").json()["items"][-1]
        assert (last["action"], last["before"]) == ("delete", secret.row)
    if house.plan.soft_delete:
        back = house.call("POST", f"{secret.path}/restore")
        assert back.json() == {**secret.row, "updated_at": back.json()["updated_at"]}
        assert house.call("DELETE", secret.path).status_code == 204


def forget(secret: Secret) -> None:
    """Leave nothing of a deleted row, as if it had never been."""
    name, key = secret.house.plan.table.name, str(secret.row["id"])
    with below(secret.house) as connection:
        for table in (deleted_rows, entries):
            connection.execute(sa.delete(table).where(table.c.entity == name, table.c.row_id == key))


def must_find(secret: Secret, owner: Headers) -> None:
    """What the probes ask for is there for its owner, so that the property is not held by asking for nothing."""
    for query in selections(secret):
        if query.keys() <= secret.row.keys() | {"search"}:
            narrowed = {"id__gte": secret.row["id"], **query}
            assert secret.row in secret.house.list(owner, **narrowed)["items"], query
            file = secret.house.call("GET", "/export", owner, params={"format": "ndjson", **narrowed})
            assert json.dumps(secret.row, ensure_ascii=False, separators=(",", ":")) in file.text.splitlines(), query
    assert len(secret.cursors) > 1
    assert len(secret.own_cursors) > 1


@every_house("list", "create", "get", where=hides_rows)
def test_a_relation_out_of_sight_embeds_nothing(house: House) -> None:
    """A row that the stranger reads and that leads to the private one, in either direction, embeds null or a list without it."""
    owner, stranger = callers(house)
    for near, relation in leading_to(house):
        answer = make(house, owner, **hidden(house))
        secret = Secret(house, answer.json(), answer.headers["etag"], (), {}, ())
        row = linked(near, relation, secret, stranger)
        for more in ({}, {"fields": "id"}):
            view = {"expand": relation.name, **more}
            for tail, query in ((f"/{row['id']}", view), ("", {"id": row["id"], **view})):
                assert secret.row["id"] in embedded(near.call("GET", tail, params=query), relation)
                seen = near.call("GET", tail, stranger, params=query)
                assert seen.status_code == 200 if near.plan.read.roles is None else seen.status_code == 403
                assert seen.status_code == 403 or embedded(seen, relation) == []
                assert [mark for mark in marks(secret) if mark in shown(seen)] == []


def embedded(answer: Response, relation: Relation) -> list[Any]:
    """The ids of what is embedded in the one row of an answer."""
    row = answer.json()
    found = row["items"][0][relation.name] if "items" in row else row[relation.name]
    return [one["id"] for one in (found if relation.many else [found] if found else [])]


def linked(near: House, relation: Relation, secret: Secret, stranger: Headers) -> Row:
    """A row that leads to the private one: the one that hides it, or one in the stranger's sight that is made to below the rules."""
    if relation.remote in (secret.house.owner, *hidden(secret.house)):
        return {"id": secret.row[relation.remote]}
    row: Row = make_own(near, stranger).json()
    house, column, value, changing = (
        (secret.house, relation.remote, row[relation.local], secret.row)
        if relation.many
        else (near, relation.local, secret.row[relation.remote], row)
    )
    table = house.plan.table
    with below(house) as connection:
        connection.execute(sa.update(table).where(table.c.id == changing["id"]).values({column: value}))
    return row


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
    assert house.call("DELETE", secret.path).status_code == 204
    for who, status in ((stranger, 403), ({}, 401)):
        assert house.call("POST", f"{secret.path}/restore", who).status_code == status
    assert house.call("GET", secret.path).status_code == 404


@every_house("create", where=hides_rows)
@pytest.mark.parametrize("tail", ["", "/batch", "/import"])
def test_a_key_of_the_owner_gives_nothing_to_another(house: House, tail: str) -> None:
    """The same key with the same body is the stranger's own request: they get a row of their own, or an error."""
    owner, stranger = callers(house)
    body, key = body_of(house, owner), {"Idempotency-Key": unique("theirs")}
    options: dict[str, Any] = {"json": [body] if tail else body, "extra": key}
    if tail == "/import":
        options = {"content": lines([body]), "extra": {**key, "Content-Type": "application/x-ndjson"}}
    first = house.call("POST", tail, owner, **options)
    assert first.status_code == 201, first.text
    row = house.list(sort="-id", size=1)["items"][0]
    second = house.call("POST", tail, stranger, **options)
    assert "idempotent-replayed" not in second.headers
    assert row["created_at"] not in second.text
    assert second.status_code in (201, 403, 409)
    assert house.call("POST", tail, owner, **options).content == first.content
    assert house.stored(row) == row
