"""`fields` narrows a row, `expand` embeds what is related to it (docs/contract.md §3), on lists and on single rows."""

from typing import Any

import pytest
import sqlalchemy as sa

from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.operations import expand
from rowhouse.query.resource import Relation
from rowhouse.registration.registry import Registration
from rowhouse.registration.relations import relations_of
from tests.contract.entity_client import Headers, House, Row
from tests.contract.problems import faulty_members, problem
from tests.contract.registrations import REGISTRIES, every_house


def relations(registration: Registration) -> dict[str, Relation]:
    """What `expand` takes for an entity."""
    registry = next(r for r in REGISTRIES.values() if registration in r.registrations.values())
    lines = registry.registrations
    readable = {path for path, line in lines.items() if "list" in line.operations}
    return relations_of([line.resource for line in lines.values()], readable=readable)[registration.resource.path]


def has_relations(registration: Registration) -> bool:
    """Whether anything is related to it, either way; the notices' single route is hand-written."""
    return bool(relations(registration)) and registration.resource.path != "notices"


def generated(registration: Registration) -> bool:
    """Whether the route of a single row is the generated one."""
    return registration.resource.path != "notices"


def related(house: House, relation: Relation, row: Row, headers: Headers | None = None) -> Any:
    """What `expand` should embed, read from the related entity's own list."""
    value = row[relation.local]
    if value is None:
        return [] if relation.many else None
    target = house.world.house(relation.target.path)
    found = target.list(headers, **{relation.remote: value}, size=100)["items"]
    return found if relation.many else next(iter(found), None)


def is_one_each(house: House, reference: str) -> bool:
    """Whether an account has one row at most for each that the member refers to."""
    pair = {house.owner, reference}
    uniques = [u for u in house.plan.table.constraints if isinstance(u, sa.UniqueConstraint)]
    return any({column.name for column in unique.columns} == pair for unique in uniques)


def family(house: House, relation: Relation) -> Row:
    """A row that has related rows; where the reference leads to another row of the same table, not to itself."""
    row = house.make_plain() if relation.many else house.make()
    if relation.many:
        target = house.world.house(relation.target.path)
        for number in range(2):
            own = {"vehicle_id": None} if "vehicle_id" in target.create and relation.remote != "vehicle_id" else {}
            if relation.remote in target.create:
                maker = house.world.caller(f"relative {number}") if is_one_each(target, relation.remote) else None
                target.make(maker, **own, **{relation.remote: row[relation.local]})
            elif target.owner == relation.remote:
                target.make(**own)
    return house.stored(row)


@every_house("list", "get", where=generated)
def test_fields_shows_these_members_and_no_others(house: House) -> None:
    """Each alone, two together; what is not shown still filters and sorts; the tag is that of the whole row."""
    row = house.make()
    tag = house.call("GET", f"/{row['id']}").headers["etag"]
    names = list(house.public)
    for shown in [*([name] for name in names), [names[-1], names[0]], names]:
        query = {"fields": ",".join(shown)}
        assert house.list(**query, id=row["id"], sort="-created_at")["items"] == [{n: row[n] for n in shown}]
        answer = house.call("GET", f"/{row['id']}", params=query)
        assert answer.json() == {name: row[name] for name in shown}
        assert answer.headers["etag"] == tag
    known = house.call("GET", f"/{row['id']}", params={"fields": names[0]}, extra={"If-None-Match": tag})
    assert (known.status_code, known.content) == (304, b"")


@every_house("list", "get", where=generated)
def test_a_member_that_is_not_there_cannot_be_shown(house: House) -> None:
    """Unknown, secret or empty: 422 naming the parameter."""
    row = house.make()
    hidden = set(house.plan.columns) - set(house.public)
    for wrong in ("", ",", "id,", "no_such", "ID", " id", "-id", "*", "id " * 200, ",".join(["id"] * 101), *hidden):
        for path in ("", f"/{row['id']}"):
            assert faulty_members(house.call("GET", path, params={"fields": wrong})) == {"fields"}
            assert faulty_members(house.call("GET", path, params={"expand": wrong})) == {"expand"}
    assert faulty_members(house.call("GET", "?fields=id&fields=id")) == {"fields"}


@every_house("list")
def test_a_cursor_keeps_the_view_or_takes_another(house: House) -> None:
    """A view is neither sort nor filter."""
    rows = sorted((house.make() for _ in range(3)), key=lambda row: row["id"])
    mine = ",".join(str(row["id"]) for row in rows)
    page = house.list(id__in=mine, size=1, fields="created_at")
    assert page["items"] == [{"created_at": rows[0]["created_at"]}]
    follow = {"cursor": page["next_cursor"]}
    assert house.list(**follow)["items"] == [{"created_at": rows[1]["created_at"]}]
    assert house.list(**follow, fields="id")["items"] == [{"id": rows[1]["id"]}]
    assert house.list(**follow, fields="id", size=2)["items"] == [{"id": row["id"]} for row in rows[1:]]


@every_house("list", "get", where=has_relations)
def test_expand_embeds_what_the_related_list_shows(house: House) -> None:
    """One row or all of them, whole; nothing else of the row changes; also beside `fields`, and on a single row."""
    for name, relation in relations(house.registration).items():
        row = family(house, relation)
        expected = related(house, relation, row)
        whole = {**row, name: expected}
        assert house.list(id=row["id"], expand=name)["items"] == [whole]
        answer = house.call("GET", f"/{row['id']}", params={"expand": name})
        assert answer.json() == whole
        assert answer.headers["etag"] == house.call("GET", f"/{row['id']}").headers["etag"]
        narrowed = house.list(id=row["id"], expand=name, fields="created_at")["items"]
        assert narrowed == [{"created_at": row["created_at"], name: expected}]
    everything = ",".join(relations(house.registration))
    assert set(house.list(id=row["id"], expand=everything)["items"][0]) == {*row, *relations(house.registration)}


@every_house("list", where=has_relations)
def test_the_names_of_expand_are_documented(house: House) -> None:
    """Exactly those."""
    choices = house.parameters["expand"]["items"]
    assert set(choices.get("enum") or [choices["const"]]) == set(relations(house.registration))


@every_house("list", "get", where=lambda registration: generated(registration) and not has_relations(registration))
def test_where_nothing_is_related_there_is_no_expand(house: House) -> None:
    """It is refused like any unknown parameter."""
    assert "expand" not in house.parameters
    assert faulty_members(house.call("GET", params={"expand": "id"})) == {"expand"}


@every_house("list", where=has_relations)
def test_expand_takes_the_same_statements_for_many_rows(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more than without it."""
    counted: list[object] = []
    run = UnitOfWork.run

    def counting(self: UnitOfWork, *arguments: Any) -> Any:
        counted.append(arguments[0])
        return run(self, *arguments)

    for relation in relations(house.registration).values():
        rows = [family(house, relation) for _ in range(2)]
        mine = ",".join(str(row["id"]) for row in rows)
        with monkeypatch.context() as patched:
            patched.setattr(UnitOfWork, "run", counting)
            counts = []
            for query in ({"id__in": mine}, {"id__in": mine, "expand": relation.name}):
                counted.clear()
                assert len(house.list(**query)["items"]) == 2
                counts.append(len(counted))
        assert counts[1] <= counts[0] + 1


@every_house("list", where=has_relations)
def test_expand_shows_a_caller_what_the_related_list_would(house: House) -> None:
    """Not more: an entity that the caller may not read is refused, a row out of sight is null or not in its list."""
    stranger = house.world.caller("stranger")
    for name, relation in relations(house.registration).items():
        row = family(house, relation)
        target = house.world.house(relation.target.path)
        for who in (stranger, {}):
            answer = house.call("GET", headers=who, params={"id": row["id"], "expand": name})
            allowed = {house.call("GET", headers=who).status_code, target.call("GET", headers=who).status_code}
            if allowed != {200}:
                problem(answer, max(allowed))
                continue
            assert answer.status_code == 200, answer.text
            for seen in answer.json()["items"]:
                assert seen[name] == related(house, relation, seen, who)


@every_house("list", where=lambda registration: any(r.many for r in relations(registration).values()))
def test_too_many_related_rows_are_refused_not_cut_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """422 that says what to do instead."""
    monkeypatch.setattr(expand, "MAX_EMBEDDED", 1)
    for name, relation in relations(house.registration).items():
        if relation.many:
            row = family(house, relation)
            answer = house.call("GET", params={"id": row["id"], "expand": name})
            if len(related(house, relation, row)) > 1:
                assert faulty_members(answer) == {"expand"}
                assert relation.target.path in answer.json()["errors"][0]["msg"]
            else:
                assert answer.status_code == 200, answer.text
