"""Promises about lists: pages, cursors, sorting, filters, search, projection, and exports of the same rows."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from rowhouse.registration.registry import Registration
from rowhouse.testing.bodies.maker import Row
from rowhouse.testing.contract.choice import every_entity
from rowhouse.testing.contract.entity import EntityClient
from rowhouse.testing.contract.list_model import MATCHES, operators, selects, sorted_ids, written
from rowhouse.testing.contract.responses import faulty_places

DOCUMENTS = ("object", "array", "base64")
ROWS = 5
MAX_BRANCHES = 10  # of `any`
# Parameters of every list. A column with such a name has its plain filter as `name__eq`.
RESERVED = {"page", "size", "skip", "limit", "sort", "search", "cursor", "fields", "expand", "any"}


def keys(entity: EntityClient, rows: list[Row]) -> list[Any]:
    """Return the keys of rows."""
    return entity.keys_in(rows)


def columns(entity: EntityClient) -> list[str]:
    """Return the public members that are columns."""
    return [name for name in entity.public if name in entity.resource.columns]


def values_to_ask(operator: str, stored: list[Any]) -> Iterator[Any]:
    """Yield the values to ask a filter for, of those that are stored."""
    if operator == "isnull":
        yield from (True, False)
        return
    values = [value for value in stored if value is not None]
    if not values:
        return
    if operator in ("in", "not_in"):
        yield values[:2]
    elif operator == "between":
        yield [values[0], values[-1]]
        yield [values[0], values[0]]
    elif operator in MATCHES:
        text = values[0].swapcase()
        yield {"contains": text[1:-1], "startswith": text[:4], "endswith": text[-4:]}[operator]
    else:
        yield values[len(values) // 2]


def searches(registration: Registration) -> bool:
    """Return whether `?search=` looks into a column."""
    return bool(registration.resource.parameters.search.columns)


class ListPromises:
    """Many rows read."""

    @every_entity("list")
    def test_pages_hold_every_row_once(self, contract_entity: EntityClient) -> None:
        """By page, by skip and limit, and by cursor, in the order of the key; `total` is exact."""
        entity, rows = contract_entity, contract_entity.rows(ROWS)
        mine = entity.only(rows)
        seen = []
        for number, count in ((1, 2), (2, 2), (3, 1), (4, 0)):
            page = entity.listed({**mine, "page": number, "size": 2})
            found = {name: page[name] for name in ("total", "page", "size", "pages")}
            assert found == {"total": ROWS, "page": number, "size": 2, "pages": 3}
            assert len(page["items"]) == count
            seen += page["items"]
        assert seen == rows
        for row in seen:
            entity.check_row(row)
        assert entity.listed({**mine, "skip": 1, "limit": 2})["items"] == rows[1:3]
        for sort in ("", f"-{entity.key}", *(f"-{name}" for name in entity.timestamps)):
            page = entity.listed({**mine, "size": 2, **({"sort": sort} if sort else {})})
            walked = page["items"]
            while page["next_cursor"]:
                page = entity.listed({"cursor": page["next_cursor"], "size": 2})
                walked += page["items"]
            assert sorted(walked, key=entity.key_of) == rows, f"a walk by {sort or entity.key} lost rows"

    @every_entity("list")
    def test_each_column_sorts_both_ways(self, contract_entity: EntityClient) -> None:
        """Nulls are last ascending and first descending, and the key breaks ties; a document does not sort."""
        entity, rows = contract_entity, contract_entity.rows(ROWS)
        mine = entity.only(rows)
        for name in columns(entity):
            kind = entity.kind(name)
            if kind in DOCUMENTS:
                assert faulty_places(entity.call("GET", params={"sort": name})) == {("query", "sort")}
                continue
            for sign, descending in (("", False), ("-", True)):
                found = keys(entity, entity.listed({**mine, "sort": sign + name})["items"])
                wanted = sorted_ids(rows, name, kind, descending=descending, key=entity.key_of)
                assert found == wanted, f"sort={sign}{name}"

    @every_entity("list")
    def test_each_filter_selects_what_it_says(self, contract_entity: EntityClient) -> None:
        """Computed in Python from the stored rows; no comparison selects null.

        The first column of a type is asked with every operator, another one of the same type with the plain filter.
        """
        entity, rows = contract_entity, contract_entity.rows(ROWS)
        mine, parameters, asked_fully = entity.only(rows), entity.parameters, set()
        for name in columns(entity):
            kind, stored = entity.kind(name), [row[name] for row in rows]
            like = kind, entity.resource.columns[name].nullable
            for operator in sorted(operators(kind)):
                is_plain = operator == "eq" and name not in RESERVED
                parameter = name if is_plain else f"{name}__{operator}"
                assert parameter in parameters, f"the list of {entity.name} has no filter {parameter}"
                for asked in () if like in asked_fully and operator != "eq" else values_to_ask(operator, stored):
                    query = {**mine, parameter: written(asked)}
                    found = {str(key) for key in keys(entity, entity.listed(query)["items"])}
                    wanted = {str(entity.key_of(row)) for row in rows if selects(kind, operator, row[name], asked)}
                    assert found == wanted, f"{parameter}={written(asked)}"
            asked_fully.add(like)

    @every_entity("list")
    def test_any_selects_what_a_branch_selects(self, contract_entity: EntityClient) -> None:
        """A branch for each of some columns, with a value of a row as JSON or as text."""
        entity, rows = contract_entity, contract_entity.rows(ROWS)
        branches: list[Row] = []
        wanted: set[str] = set()
        for name in columns(entity):
            kind = entity.kind(name)
            is_plain = "eq" in operators(kind) and name not in RESERVED and len(branches) < MAX_BRANCHES
            for asked in list(values_to_ask("eq", [row[name] for row in rows]))[:1] if is_plain else ():
                branches.append({name: asked if len(branches) % 2 else written(asked)})
                wanted |= {str(entity.key_of(row)) for row in rows if selects(kind, "eq", row[name], asked)}
        query = {**entity.only(rows), "any": json.dumps(branches)}
        assert {str(key) for key in keys(entity, entity.listed(query)["items"])} == wanted, f"any={query['any']}"
        for wrong in ('[{"no_such": 1}]', "[]", "no JSON"):
            assert faulty_places(entity.call("GET", params={"any": wrong})) == {("query", "any")}, f"any={wrong}"

    @every_entity("list")
    def test_what_a_list_does_not_know_is_422(self, contract_entity: EntityClient) -> None:
        """An unknown or repeated parameter, a page out of bounds, a forged cursor; each is named."""
        entity = contract_entity
        for query in (
            "no_such=1",
            "page=0",
            "size=101",
            "sort=no_such",
            "cursor=forged",
            "page=1&page=1",
            "fields=no_such",
        ):
            name = query.partition("=")[0]
            assert faulty_places(entity.call("GET", f"?{query}")) == {("query", name)}, query
        if not searches(entity.registration):
            assert faulty_places(entity.call("GET", "?search=x")) == {("query", "search")}

    @every_entity("list", where=searches)
    def test_search_finds_a_row_by_its_texts(self, contract_entity: EntityClient) -> None:
        """In each column that the registration names, in any case."""
        entity, rows = contract_entity, contract_entity.rows(3)
        searched = entity.resource.parameters.search.columns
        for name in searched:
            for piece in [row[name][-6:].swapcase() for row in rows if row[name]]:
                found = keys(entity, entity.listed({**entity.only(rows), "search": piece})["items"])
                matching = [r for r in rows if any(selects("string", "contains", r[c], piece) for c in searched)]
                assert found == keys(entity, matching), f"search={piece}"

    @every_entity("list")
    def test_fields_narrow_and_expand_embeds(self, contract_entity: EntityClient) -> None:
        """`fields` shows what it names; each name of `expand` adds one member."""
        entity, row = contract_entity, contract_entity.make()
        mine = entity.only([row])
        narrowed = entity.listed({**mine, "fields": entity.key})["items"]
        assert narrowed == [{entity.key: row[entity.key]}]
        relations = entity.running.app.state.cruds[entity.registry.prefix][entity.resource.model].resource.relations
        for name in relations:
            answer = entity.call("GET", params={**mine, "expand": name})
            shown = [found.keys() for found in answer.json().get("items", ())]
            # Who may not read the other entity may not embed its rows.
            refused = answer.status_code in (401, 403)
            assert refused or shown == [row.keys() | {name}], f"expand={name} → {answer.text}"

    @every_entity("list")
    def test_a_parents_column_sorts(self, contract_entity: EntityClient) -> None:
        """In the order of the keys that `expand` shows; a parent that the caller does not see sorts as null."""
        entity, rows = contract_entity, contract_entity.rows(3)
        crud = entity.running.app.state.cruds[entity.registry.prefix][entity.resource.model]
        for name, relation in crud.resource.relations.items():
            word, kind = f"{name}__{relation.remote}", entity.kind(relation.local)
            for sort in (word, f"-{word}"):
                answer = entity.call("GET", params={**entity.only(rows), "sort": sort, "expand": name})
                refused = answer.status_code in (401, 403)  # as for `expand` alone
                if not relation.is_parent:
                    assert refused or faulty_places(answer) == {("query", "sort")}, sort
                    continue
                items = answer.json().get("items", ())
                shown = [{**row, word: row[name] and row[name][relation.remote]} for row in items]
                wanted = sorted_ids(shown, word, kind, descending=sort != word, key=entity.key_of)
                assert refused or keys(entity, shown) == wanted, f"sort={sort}"

    @every_entity("list")
    def test_an_export_holds_what_the_list_holds(self, contract_entity: EntityClient) -> None:
        """In both formats, with the same filters and sort."""
        entity, rows = contract_entity, contract_entity.rows(3)
        query = {**entity.only(rows), "sort": f"-{entity.key}"}
        listed = entity.listed(query)["items"]
        lines = entity.call("GET", "/export", params={**query, "format": "ndjson"}).text.splitlines()
        assert [json.loads(line) for line in lines] == listed
        sheet = entity.call("GET", "/export", params={**query, "format": "csv"}).text
        header, *records = csv.reader(io.StringIO(sheet, newline=""), strict=True)
        assert header == columns(entity)
        position = header.index(entity.key)
        assert [record[position] for record in records] == [str(row[entity.key]) for row in listed]
