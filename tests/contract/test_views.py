"""`fields` narrows rows and `expand` embeds related rows, in lists and single rows (docs/contract.md §3)."""

from typing import Any

import pytest
import sqlalchemy as sa

from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.operations import expand
from rowhouse.query.resource import Relation
from rowhouse.registration.registry import Registration, Registry
from rowhouse.registration.relations import relations_of
from tests.contract.entity_client import EntityClient, Headers, Row
from tests.contract.problems import faulty_members, problem
from tests.contract.registrations import Case, every_entity, few


def relations(registry: Registry, registration: Registration) -> dict[str, Relation]:
    """Return the names of `expand` for an entity."""
    lines = registry.registrations
    readable = {path for path, line in lines.items() if "list" in line.operations}
    return relations_of([line.resource for line in lines.values()], readable=readable)[registration.resource.path]


def has_relations(case: Case) -> bool:
    """Return True if an entity has relations in either direction. The single route of notices is hand-written."""
    return bool(relations(case.api.registry, case.registration)) and case.path != "notices"


def generated(registration: Registration) -> bool:
    """Return True if the route of a single row is the generated one."""
    return registration.resource.path != "notices"


def related(entity: EntityClient, relation: Relation, row: Row, headers: Headers | None = None) -> Any:
    """Return the rows that `expand` should embed, from the related entity's own list."""
    value = row[relation.local]
    if value is None:
        return [] if relation.many else None
    target = entity.running_app.entity(relation.target.path)
    found = target.list(headers, **{relation.remote: value}, size=100)["items"]
    return found if relation.many else next(iter(found), None)


def is_one_each(entity: EntityClient, reference: str) -> bool:
    """Return True if an account has at most one row for each value of the member."""
    pair = {entity.owner, reference}
    uniques = [u for u in entity.resource.table.constraints if isinstance(u, sa.UniqueConstraint)]
    return any({column.name for column in unique.columns} == pair for unique in uniques)


def family(entity: EntityClient, relation: Relation) -> Row:
    """Create a row with related rows. A reference to the same table leads to another row."""
    row = entity.make_plain() if relation.many else entity.make()
    if relation.many:
        target = entity.running_app.entity(relation.target.path)
        for number in range(2):
            own = {"vehicle_id": None} if "vehicle_id" in target.create and relation.remote != "vehicle_id" else {}
            if relation.remote in target.create:
                maker = (
                    entity.running_app.caller(f"relative {number}") if is_one_each(target, relation.remote) else None
                )
                target.make(maker, **own, **{relation.remote: row[relation.local]})
            elif target.owner == relation.remote:
                target.make(**own)
    return entity.stored(row)


@every_entity("list", "get", where=generated)
def test_fields_shows_these_members_and_no_others(entity: EntityClient) -> None:
    """Each alone and two together. Hidden members can still filter and sort. The entity tag is that of the whole row."""
    row = entity.make()
    tag = entity.call("GET", f"/{row['id']}").headers["etag"]
    names = list(entity.public)
    for shown in [*([name] for name in names), [names[-1], names[0]], names]:
        query = {"fields": ",".join(shown)}
        assert entity.list(**query, id=row["id"], sort="-created_at")["items"] == [{n: row[n] for n in shown}]
        answer = entity.call("GET", f"/{row['id']}", params=query)
        assert answer.json() == {name: row[name] for name in shown}
        assert answer.headers["etag"] == tag
    known = entity.call("GET", f"/{row['id']}", params={"fields": names[0]}, extra={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")


@every_entity("list", "get", where=lambda registration: few(registration) and generated(registration))
def test_a_member_that_is_not_there_cannot_be_shown(entity: EntityClient) -> None:
    """An unknown, secret or empty name is 422 and names the parameter."""
    row = entity.make()
    hidden = set(entity.resource.columns) - set(entity.public)
    for wrong in ("", ",", "id,", "no_such", "ID", " id", "-id", "*", "id " * 200, ",".join(["id"] * 101), *hidden):
        for path in ("", f"/{row['id']}"):
            assert faulty_members(entity.call("GET", path, params={"fields": wrong})) == {"fields"}
            assert faulty_members(entity.call("GET", path, params={"expand": wrong})) == {"expand"}
    assert faulty_members(entity.call("GET", "?fields=id&fields=id")) == {"fields"}


@every_entity("list", where=few)
def test_a_cursor_keeps_the_view_or_takes_another(entity: EntityClient) -> None:
    """`fields` and `expand` are neither sort nor filter."""
    rows = sorted((entity.make() for _ in range(3)), key=lambda row: row["id"])
    mine = ",".join(str(row["id"]) for row in rows)
    page = entity.list(id__in=mine, size=1, fields="created_at")
    assert page["items"] == [{"created_at": rows[0]["created_at"]}]
    follow = {"cursor": page["next_cursor"]}
    assert entity.list(**follow)["items"] == [{"created_at": rows[1]["created_at"]}]
    assert entity.list(**follow, fields="id")["items"] == [{"id": rows[1]["id"]}]
    assert entity.list(**follow, fields="id", size=2)["items"] == [{"id": row["id"]} for row in rows[1:]]


@every_entity("list", "get", where_case=has_relations)
def test_expand_embeds_what_the_related_list_shows(entity: EntityClient) -> None:
    """One row or all of them, complete. The other members stay the same, also with `fields` and on a single row."""
    for name, relation in relations(entity.running_app.registry, entity.registration).items():
        row = family(entity, relation)
        expected = related(entity, relation, row)
        whole = {**row, name: expected}
        assert entity.list(id=row["id"], expand=name)["items"] == [whole]
        answer = entity.call("GET", f"/{row['id']}", params={"expand": name})
        assert answer.json() == whole
        assert answer.headers["etag"] == entity.call("GET", f"/{row['id']}").headers["etag"]
        narrowed = entity.list(id=row["id"], expand=name, fields="created_at")["items"]
        assert narrowed == [{"created_at": row["created_at"], name: expected}]
    everything = ",".join(relations(entity.running_app.registry, entity.registration))
    assert set(entity.list(id=row["id"], expand=everything)["items"][0]) == {
        *row,
        *relations(entity.running_app.registry, entity.registration),
    }


@every_entity("list", where_case=has_relations)
def test_the_names_of_expand_are_documented(entity: EntityClient) -> None:
    """The relations, and after a dot those of the related entities."""
    choices = entity.parameters["expand"]["items"]
    registry = entity.running_app.registry
    own = relations(registry, entity.registration)
    further = {
        f"{name}.{second}"
        for name, relation in own.items()
        for second in relations(registry, registry.registrations[relation.target.path])
    }
    assert set(choices.get("enum") or [choices["const"]]) == own.keys() | further


@every_entity("list", "get", where=generated, where_case=lambda case: not has_relations(case))
def test_where_nothing_is_related_there_is_no_expand(entity: EntityClient) -> None:
    """It is rejected like any unknown parameter."""
    assert "expand" not in entity.parameters
    assert faulty_members(entity.call("GET", params={"expand": "id"})) == {"expand"}


@every_entity("list", where_case=has_relations)
def test_expand_takes_the_same_statements_for_many_rows(entity: EntityClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than without it."""
    counted: list[object] = []
    run = UnitOfWork.run

    def counting(self: UnitOfWork, *arguments: Any) -> Any:
        counted.append(arguments[0])
        return run(self, *arguments)

    for relation in relations(entity.running_app.registry, entity.registration).values():
        rows = [family(entity, relation) for _ in range(2)]
        mine = ",".join(str(row["id"]) for row in rows)
        with monkeypatch.context() as patched:
            patched.setattr(UnitOfWork, "run", counting)
            counts = []
            for query in ({"id__in": mine}, {"id__in": mine, "expand": relation.name}):
                counted.clear()
                assert len(entity.list(**query)["items"]) == 2
                counts.append(len(counted))
        assert counts[1] <= counts[0] + 1


@every_entity("list", where_case=has_relations)
def test_expand_shows_a_caller_what_the_related_list_would(entity: EntityClient) -> None:
    """An entity that the caller may not read is rejected. An invisible row is null or missing from its list."""
    stranger = entity.running_app.caller("stranger")
    for name, relation in relations(entity.running_app.registry, entity.registration).items():
        row = family(entity, relation)
        target = entity.running_app.entity(relation.target.path)
        for who in (stranger, {}):
            answer = entity.call("GET", headers=who, params={"id": row["id"], "expand": name})
            allowed = {entity.call("GET", headers=who).status_code, target.call("GET", headers=who).status_code}
            if allowed != {200}:
                problem(answer, max(allowed))
                continue
            assert answer.status_code == 200, answer.text
            for seen in answer.json()["items"]:
                assert seen[name] == related(entity, relation, seen, who)


@every_entity(
    "list",
    where_case=lambda case: any(r.many for r in relations(case.api.registry, case.registration).values()),
)
def test_too_many_related_rows_are_refused_not_cut_off(entity: EntityClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """422 says what to do instead."""
    monkeypatch.setattr(expand, "MAX_EMBEDDED", 1)
    for name, relation in relations(entity.running_app.registry, entity.registration).items():
        if relation.many:
            row = family(entity, relation)
            answer = entity.call("GET", params={"id": row["id"], "expand": name})
            if len(related(entity, relation, row)) > 1:
                assert faulty_members(answer) == {"expand"}
                assert relation.target.path in answer.json()["errors"][0]["msg"]
            else:
                assert answer.status_code == 200, answer.text
