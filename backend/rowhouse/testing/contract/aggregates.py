"""Promises about aggregates: what Python computes from the rows of a list, the database computes too."""

from decimal import Decimal
from typing import Any

from rowhouse.testing.bodies.maker import Row
from rowhouse.testing.contract.choice import every_entity
from rowhouse.testing.contract.entity import EntityClient
from rowhouse.testing.contract.responses import faulty_places

ROWS = 4


def choices(entity: EntityClient, parameter: str) -> list[str]:
    """Return the names that a parameter of the aggregates accepts; none if there is no such parameter."""
    described = entity.document["paths"][f"{entity.path}/aggregate"]["get"]["parameters"]
    for one in described:
        if one["name"] == parameter:
            item = one["schema"]["items"]
            return list(item.get("enum", [item["const"]] if "const" in item else []))
    return []


def aggregated(entity: EntityClient, query: dict[str, Any]) -> list[Row]:
    """Return the items of an aggregate."""
    answer = entity.call("GET", "/aggregate", params=query)
    assert answer.status_code == 200, f"GET {entity.path}/aggregate {query} → {answer.status_code} {answer.text}"
    return list(answer.json()["items"])


def number(value: Any) -> Decimal:
    """Return a number of a response with the digits that it has."""
    return Decimal(str(value))


class AggregatePromises:
    """Aggregates of many rows."""

    @every_entity("list")
    def test_aggregates_are_those_of_the_rows(self, contract_entity: EntityClient) -> None:
        """Count, sum, average, least and greatest of each column, over what the filters select."""
        entity, rows = contract_entity, contract_entity.rows(ROWS)
        mine = entity.only(rows)
        assert aggregated(entity, mine) == [{"count": ROWS}]
        for name in choices(entity, "sum"):
            stored = [number(row[name]) for row in rows if row[name] is not None]
            (item,) = aggregated(entity, {**mine, **dict.fromkeys(("sum", "avg", "min", "max"), name)})
            found = {function: values[name] for function, values in item.items()}
            if not stored:
                assert set(found.values()) == {None}
                continue
            total = sum(stored, Decimal())
            close = abs(total) * Decimal("1e-11")
            assert abs(number(found["sum"]) - total) <= close, f"sum={name}"
            assert abs(number(found["avg"]) - total / len(stored)) <= close + Decimal("1e-6"), f"avg={name}"
            assert (number(found["min"]), number(found["max"])) == (min(stored), max(stored)), f"min={name}&max={name}"

    @every_entity("list")
    def test_groups_hold_every_row_once(self, contract_entity: EntityClient) -> None:
        """By each column, and by the day, month and year of an instant."""
        entity, rows = contract_entity, contract_entity.rows(ROWS)
        mine = entity.only(rows)
        for group in choices(entity, "group_by"):
            name, _, unit = group.rpartition("__")
            column, length = (name, {"year": 4, "month": 7, "day": 10}[unit]) if name in entity.public else (group, 99)
            wanted: dict[str, int] = {}
            for row in rows:
                value = row[column][:length] if unit and column != group and row[column] else row[column]
                wanted[str(value)] = wanted.get(str(value), 0) + 1
            items = aggregated(entity, {**mine, "group_by": group, "count": "", "sort": f"-count,{group}"})
            assert {str(item[group]): item["count"] for item in items} == wanted, f"group_by={group}"
            counts = [item["count"] for item in items]
            assert counts == sorted(counts, reverse=True)
            assert aggregated(entity, {**mine, "group_by": group, "skip": 1, "sort": f"-count,{group}"}) == items[1:]

    @every_entity("list")
    def test_what_an_aggregate_does_not_know_is_422(self, contract_entity: EntityClient) -> None:
        """An unknown column, function, sort or parameter of a list; each is named."""
        entity = contract_entity
        for query in ("group_by=no_such", "sum=no_such", "sort=no_such", "page=1", "fields=x", "count=2", "median=x"):
            found = {place[:2] for place in faulty_places(entity.call("GET", f"/aggregate?{query}"))}
            assert found == {("query", query.partition("=")[0])}, query
