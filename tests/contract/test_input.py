"""Bodies: strict JSON types, the ranges of columns, and no members that clients may not set (docs/contract.md §1, §4)."""

import json
from collections.abc import Iterator
from typing import Any

from rowhouse.entities.model import Mark
from tests.contract.bodies import Schema, nullable
from tests.contract.entity_client import EntityClient, Row
from tests.contract.problems import faulty_members, problem
from tests.contract.registrations import every_entity

HUGE = 10**30
FULL_WIDTH_ONE = "\uff11"
SURROGATE = "\ud800"
WRONG: dict[str, tuple[Any, ...]] = {
    "integer": (True, "1", 1.5, [], {}, HUGE, -HUGE),
    "number": (True, "x", "", "NaN", "1_0", " 1", FULL_WIDTH_ONE, [], {}, float("nan"), float("inf"), 10**400),
    "boolean": (1, 0, "true", [], {}),
    "string": (1, True, [], {}, "a\x00b", SURROGATE),
    "date-time": (
        1700000000, "1700000000", True, "", "2030-01-31T12:00:00", "2030-01-31", "2030-02-30T12:00:00Z", [], SURROGATE,
        "2030-01-31T12:00:00+99:99", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2030-01-31T12:00:00Z\n",
    ),
    "date": (20300131, "20300131", True, "", "2030-02-30", "2030-01-31T00:00:00Z", "2030-01-31\n", []),
    "time": (3600, "3600", True, "", "25:00", "12:00Z", "12:00+01:00", "12:00\n", []),
    "duration": (3600, "3600", True, "", "an hour", "P36501D", "-P36501D", []),
    "uuid": (1, True, "", "x", "12345678-1234-4234-8234-123456789abg", []),
    "enum": ("nope", "", True, 1.5, 99, [], {}),
    "object": ([], "{}", 1, True, {"a": "b\x00"}, {"a\x00": 1}, {"a": HUGE}, {"a": [{"b": float("nan")}]}, {"a": SURROGATE}),
    "array": ({}, "[]", 1, True, [1], [None], ["a\x00"], [SURROGATE]),
    "email": (1, "", "x", "x@", "a\x00@example.com", SURROGATE),
    "password": (1, "short", "x" * 73, "ä" * 40, "password\x00", SURROGATE),
}  # fmt: skip


def wrong_values(entity: EntityClient, schema: Schema) -> Iterator[Any]:
    """Return values that a member must reject."""
    found = entity.running_app.bodies.resolve(schema)
    kind = entity.running_app.bodies.kind(schema)
    yield from WRONG[kind]
    if not nullable(schema):
        yield None
    if "maxLength" in found:
        yield "x" * (found["maxLength"] + 1)
    if found.get("minLength", 0) > 0:
        yield ""
    if "multipleOf" in found:
        yield found["multipleOf"] / 10
        yield f"1{len(str(found['maximum'])) * '0'}"
    if kind in ("integer", "number"):
        yield from _past_the_range(found, found.get("multipleOf", 1))


def _past_the_range(schema: Schema, step: float) -> Iterator[float]:
    for word, value in (("minimum", -step), ("maximum", step), ("exclusiveMinimum", 0), ("exclusiveMaximum", 0)):
        if word in schema:
            past = schema[word] + value
            yield int(past) if isinstance(step, int) else past


def content(body: Row) -> bytes:
    """Return JSON as it is sent, NaN and lone surrogates included."""
    return json.dumps(body).encode()


@every_entity("update")
def test_a_member_of_the_wrong_type_or_range_is_422(entity: EntityClient) -> None:
    """Every wrong value of each member in a new row, some in a change.

    The error names the member, and nothing is stored.
    """
    row, body = entity.make(), entity.body()
    before = entity.total()
    accepted = []
    for members, method, path, valid, step in (
        (entity.create, "POST", "", body, 1),
        (entity.update, "PATCH", f"/{row['id']}", {}, 4),
    ):
        for name, schema in members.items():
            for value in list(wrong_values(entity, schema))[::step]:
                sent = content({**valid, name: value})
                answer = entity.call(method, path, content=sent, extra={"Content-Type": "application/json"})
                if answer.status_code != 422:
                    accepted.append((method, name, value, answer.status_code, answer.text[:100]))
                elif value != SURROGATE and "surrogate" not in answer.text:
                    assert faulty_members(answer) in ({name}, set()), value
    assert accepted == []
    assert entity.stored(row) == row
    assert entity.total() == before


@every_entity("update", "put")
def test_a_member_that_is_not_the_clients_is_422(entity: EntityClient) -> None:
    """The key, the timestamps, the owner, read-only and secret members, and unknown ones."""
    row, body = entity.make(), entity.body()
    before = entity.total()
    fixed = {"id", "created_at", "updated_at", "no_such_member", "__class__", "model_config"}
    fixed |= entity.marked(Mark.READ_ONLY) | entity.marked(Mark.SECRET) | ({entity.owner} if entity.owner else set())
    for name in fixed - set(entity.create):
        answer = entity.call("POST", json={**body, name: row.get(name, 1)})
        assert faulty_members(answer) == {name}
    for method in ("PATCH", "PUT"):
        for name in (fixed | entity.marked(Mark.CREATE_ONLY)) - set(entity.update):
            answer = entity.call(method, f"/{row['id']}", json={name: row.get(name, 1)})
            assert faulty_members(answer) == {name}
    assert entity.stored(row) == row
    assert entity.total() == before


@every_entity("create")
def test_a_missing_member_is_422(entity: EntityClient) -> None:
    """Every required member, alone and all together."""
    body, before = entity.body(), entity.total()
    for name in entity.required:
        answer = entity.call("POST", json={n: v for n, v in body.items() if n != name})
        assert faulty_members(answer) == {name}
    if entity.required:
        assert faulty_members(entity.call("POST", json={})) == set(entity.required)
    assert entity.total() == before


@every_entity("create", "update")
def test_the_ends_of_a_range_are_stored_exactly(entity: EntityClient) -> None:
    """The smallest and the largest number, and the longest text with four bytes a character.

    The same on both databases.
    """
    row = entity.make()
    special = set(entity.body()) - {n for n in entity.update if n not in entity.references} | {"weight", "latitude"}
    for name, schema in entity.update.items():
        found = entity.running_app.bodies.resolve(schema)
        if name in special or entity.running_app.bodies.kind(schema) == "enum":
            continue
        ends = [
            found[word] for word in ("minimum", "maximum") if word in found and found["type"] in ("integer", "number")
        ]
        if "maxLength" in found and "format" not in found:
            ends = ["😀" * found["maxLength"]]
        for end in ends:
            value = int(end) if found["type"] == "integer" else end
            answer = entity.call("PATCH", f"/{row['id']}", json={name: value})
            if "exclusiveMinimum" in found and value == found["minimum"]:
                problem(answer, 422)
                continue
            assert answer.status_code == 200, (name, value, answer.text)
            assert answer.json()[name] == value
            assert entity.stored(row)[name] == value
