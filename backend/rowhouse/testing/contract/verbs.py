"""Promises about one row: create, get, update, put, delete, versions, faulty bodies and safe retries."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from rowhouse.entities.model import Mark
from rowhouse.registration.registry import Registration
from rowhouse.schemas.column_limits import integer_range
from rowhouse.testing.bodies.maker import Row
from rowhouse.testing.bodies.values import Schema, nullable
from rowhouse.testing.contract.choice import every_entity
from rowhouse.testing.contract.entity import EntityClient
from rowhouse.testing.contract.responses import faulty_places, problem

ABSENT = {
    "uuid": "00000000-0000-4000-8000-000000000000",
    "date": "9999-01-31",
    "date-time": "9999-01-31T00:00:00Z",
    "number": "0",
}
# A value of another type than the member's.
WRONG: dict[str, Any] = {"integer": "1", "number": "x", "boolean": 1, "array": {}, "object": []}


def changeable(registration: Registration) -> bool:
    """Return whether a change may name a member."""
    return bool(registration.resource.schemas.update.model_fields)


def changing(entity: EntityClient) -> list[str]:
    """Return the methods that change a row."""
    return [method for method, name in (("PATCH", "update"), ("PUT", "put")) if entity.has(name)]


def absent_key(entity: EntityClient) -> str:
    """Return a key that no row has, as a path has it."""
    parts = []
    for column in entity.resource.key.columns:
        kind = entity.kind(column.name)
        parts.append(str(integer_range(column.column)[1].le) if kind == "integer" else ABSENT.get(kind, "no-key"))
    return ",".join(parts)


def assert_shows(entity: EntityClient, sent: Row, row: Row) -> None:
    """Require that a row shows what was sent, instants in UTC."""
    for name, value in sent.items():
        kind = entity.kind(name) if name in entity.public else "secret"
        if kind == "date-time" and value is not None:
            assert row[name].endswith("Z"), f"{name}: {row[name]} is not in UTC"
            assert datetime.fromisoformat(row[name]) == datetime.fromisoformat(value), name
        elif kind == "number" and value is not None:
            assert row[name] == float(value), name
        elif kind not in ("secret", "duration"):
            assert row[name] == value, f"{name}: {value!r} was sent, and {row[name]!r} is shown"


def wrong_values(entity: EntityClient, schema: Schema) -> Iterator[Any]:
    """Yield values that a member must refuse: of another type, null, too long, and beyond its bounds."""
    found, kind = entity.bodies.values.resolve(schema), entity.bodies.values.kind(schema)
    if kind == "object" and "type" not in found:
        return  # any value
    yield WRONG.get(kind, 17 if kind == "enum" else True)
    if not nullable(schema):
        yield None
    if "maxLength" in found:
        yield "x" * (found["maxLength"] + 1)
    if found.get("minLength", 0) > 0:
        yield ""
    if kind in ("integer", "number"):
        bounds = (("minimum", -1), ("maximum", 1), ("exclusiveMinimum", 0), ("exclusiveMaximum", 0))
        yield from (found[word] + past for word, past in bounds if word in found)


def server_owned(entity: EntityClient) -> set[str]:
    """Return the columns that no client may set."""
    names = {*entity.keys, *entity.timestamps, *entity.marked(Mark.READ_ONLY), *entity.marked(Mark.SECRET)}
    return (names | ({entity.owner} if entity.owner else set())) - entity.bodies.create.keys()


class VerbPromises:
    """One row at a time."""

    @every_entity("create")
    def test_create_stores_a_row(self, contract_entity: EntityClient) -> None:
        """201 with the whole row, its path and its version; the required members suffice."""
        entity = contract_entity
        body = entity.body()
        answer = entity.call("POST", json=body)
        row = entity.shown(answer, 201)
        assert answer.headers["location"] == f"{entity.path}{entity.row_path(row)}"
        assert answer.headers["etag"]
        assert_shows(entity, body, row)
        if entity.has("get") or entity.has("list"):
            assert entity.stored(row) == row
        entity.running.factory.parent(entity.resource.table)

    @every_entity("get")
    def test_get_knows_versions(self, contract_entity: EntityClient) -> None:
        """A known version is 304 without a body; a missing row is 404; what is no key is 422."""
        entity, row = contract_entity, contract_entity.make()
        path = entity.row_path(row)
        answer = entity.call("GET", path)
        assert entity.shown(answer) == row
        tag = answer.headers["etag"]
        known = entity.call("GET", path, extra={"If-None-Match": tag})
        assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
        assert entity.call("GET", path, extra={"If-None-Match": '"other"'}).status_code == 200
        assert entity.running.client.head(f"{entity.path}{path}", headers=entity.reader).status_code == 200
        problem(entity.call("GET", f"/{absent_key(entity)}"), 404, "not_found")
        assert entity.call("GET", "/no-key").status_code in (404, 422)

    @every_entity(where=lambda one: changeable(one) and bool({"update", "put"} & set(one.operations)))
    def test_a_change_changes_only_what_is_sent(self, contract_entity: EntityClient) -> None:
        """By PATCH and by PUT, each member by itself or with the members that it depends on."""
        entity, row = contract_entity, contract_entity.make()
        for method in changing(entity):
            for name in entity.bodies.update:
                change = entity.change(row, name)
                changed = entity.shown(entity.call(method, entity.row_path(row), json=change))
                assert_shows(entity, change, changed)
                if entity.resource.updated:
                    assert changed[entity.resource.updated] > row[entity.resource.updated]
                others = row.keys() - change.keys() - {entity.resource.updated}
                kept = {one for one in others if row[one] == changed[one]}
                assert kept == others, f"a change of {', '.join(change)} also changed {', '.join(others - kept)}"
                row = changed

    @every_entity(where=lambda one: changeable(one) and bool({"update", "put"} & set(one.operations)))
    def test_a_change_of_nothing_is_400_and_a_faulty_one_is_422(self, contract_entity: EntityClient) -> None:
        """Unknown members and those of the server are refused; nothing changes."""
        entity, row = contract_entity, contract_entity.make()
        for method in changing(entity):
            path = entity.row_path(row)
            problem(entity.call(method, path, json={}), 400, "empty_update")
            for name in ["no_such_member", *sorted(server_owned(entity))]:
                assert faulty_places(entity.call(method, path, json={name: 1})) == {("body", name)}
        assert entity.stored(row) == row

    @every_entity("get", where=lambda one: changeable(one) and bool({"update", "put"} & set(one.operations)))
    def test_a_stale_version_is_412(self, contract_entity: EntityClient) -> None:
        """By `If-Match`; nothing changes, and the present version is accepted."""
        entity, row = contract_entity, contract_entity.make()
        path = entity.row_path(row)
        for method in changing(entity):
            stale = {"If-Match": '"stale"'}
            problem(entity.call(method, path, json=entity.plain_change(row), extra=stale), 412, "stale")
            answer = entity.call("GET", path)
            assert entity.shown(answer) == row
            present = {"If-Match": answer.headers["etag"]}
            row = entity.shown(entity.call(method, path, json=entity.plain_change(row), extra=present))

    @every_entity("delete", "get")
    def test_a_deleted_row_is_gone(self, contract_entity: EntityClient) -> None:
        """Only that row, and only once; a stale `If-Match` deletes nothing."""
        entity, row, neighbour = contract_entity, contract_entity.make(), contract_entity.make()
        path = entity.row_path(row)
        problem(entity.call("DELETE", path, extra={"If-Match": '"stale"'}), 412, "stale")
        answer = entity.call("DELETE", path)
        assert (answer.status_code, answer.content) == (204, b""), answer.text
        problem(entity.call("DELETE", path), 404, "not_found")
        problem(entity.call("GET", path), 404, "not_found")
        assert entity.stored(neighbour) == neighbour

    @every_entity("create")
    def test_a_faulty_body_is_422_and_names_the_member(self, contract_entity: EntityClient) -> None:
        """A missing, unknown, wrong or server-owned member; nothing is stored."""
        entity = contract_entity
        body = entity.body()
        faulty = [(name, {k: v for k, v in body.items() if k != name}) for name in entity.bodies.required]
        faulty += [(name, {**body, name: 1}) for name in ["no_such_member", *sorted(server_owned(entity))]]
        for name, schema in entity.bodies.create.items():
            faulty += [(name, {**body, name: value}) for value in wrong_values(entity, schema)]
        before = entity.listed({"size": 1})["total"] if entity.has("list") else 0
        for name, wrong in faulty:
            answer = entity.call("POST", json=wrong)
            assert answer.status_code == 422, f"{name}={wrong.get(name)!r} → {answer.status_code} {answer.text}"
            assert ("body", name) in faulty_places(answer), f"{name}={wrong.get(name)!r} → {answer.text}"
        if entity.has("list"):
            assert entity.listed({"size": 1})["total"] == before

    @every_entity("create")
    def test_a_retry_with_a_key_makes_no_second_row(self, contract_entity: EntityClient) -> None:
        """The same `Idempotency-Key` gives the stored answer again; with another body it is 422."""
        entity, body = contract_entity, contract_entity.body()
        key = {"Idempotency-Key": f"contract-{entity.name}-{entity.bodies.next_number()}"}
        first = entity.call("POST", json=body, extra=key)
        entity.shown(first, 201)
        again = entity.call("POST", json=body, extra=key)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotent-replayed"] == "true"
        assert again.headers["location"] == first.headers["location"]
        # Of two members of an enum, another body could be the same one; one more space is another body too.
        other = json.dumps(body) + " "
        problem(entity.call("POST", content=other, extra={**key, "Content-Type": "application/json"}), 422)
