"""`GET /aggregate`: exact, the same on both databases, bounded, and only of what the caller may read."""

from typing import Any

from tests.contract.entity_client import EntityClient, Headers, RunningApp
from tests.contract.problems import faulty_members
from tests.contract.registrations import every_entity


def aggregate(entity: EntityClient, headers: Headers | None = None, /, **query: str) -> Any:
    """Return the response as text, which shows every digit."""
    answer = entity.call("GET", "/aggregate", headers, params=query)
    assert answer.status_code == 200, answer.text
    return answer.text


def only(rows: list[dict[str, Any]]) -> str:
    """Return the value of `id__in` for these rows."""
    return ",".join(str(row["id"]) for row in rows)


def test_sums_of_money_are_exact(shop_app: RunningApp) -> None:
    """Tenths do not drift, an average has six decimals, nulls count for nothing."""
    entity = shop_app.entity("books")
    rows = [entity.make(price=price, stock=stock) for price, stock in ((0.1, 1), (0.2, 1), (0.4, 0))]
    found = aggregate(entity, id__in=only(rows), sum="price,stock", avg="price,stock", min="price", max="stock")
    assert found == (
        '{"items":[{"sum":{"price":0.7,"stock":2},"avg":{"price":0.233333,"stock":0.666667},'
        '"min":{"price":0.1},"max":{"stock":1}}]}'
    )
    empty = aggregate(entity, id__in="0", sum="price", avg="stock", max="title", count="true")
    assert empty == '{"items":[{"count":0,"sum":{"price":null},"avg":{"stock":null},"max":{"title":null}}]}'


def test_groups_are_sorted_and_cut(shop_app: RunningApp) -> None:
    """By what is asked for, the groups break ties; `skip` and `limit` cut."""
    entity = shop_app.entity("books")
    rows = [entity.make(stock=stock, price=price) for stock, price in ((3, 1), (1, 2), (3, 4), (2, 3))]
    query = {"id__in": only(rows), "group_by": "stock", "sum": "price"}
    assert aggregate(entity, **query, sort="-sum__price,stock") == (
        '{"items":[{"stock":3,"sum":{"price":5.0}},{"stock":2,"sum":{"price":3.0}},{"stock":1,"sum":{"price":2.0}}]}'
    )
    assert aggregate(entity, **query, sort="-stock", skip="1", limit="1") == (
        '{"items":[{"stock":2,"sum":{"price":3.0}}]}'
    )
    assert faulty_members(entity.call("GET", "/aggregate", params={**query, "sort": "count"})) == {"sort"}
    for wrong in ("count=false", "page=2", "size=5", "cursor=x", "fields=id", "median=price", "skip=-1", "limit=1001"):
        assert faulty_members(entity.call("GET", f"/aggregate?{wrong}")) == {wrong.partition("=")[0]}


def test_more_than_a_thousand_groups_are_422(shop_app: RunningApp) -> None:
    """The error says what to do."""
    entity = shop_app.entity("books")
    category = entity.make()["category_id"]
    bodies = [entity.body(category_id=category) for _ in range(1000)]
    assert entity.call("POST", "/batch", json=bodies).status_code == 201
    answer = entity.call("GET", "/aggregate", params={"group_by": "id", "limit": 1})
    assert faulty_members(answer) == {"group_by"}
    assert "filter the rows, or group by less" in answer.text


@every_entity("list", "create", where=lambda registration: registration.resource.path == "everythings")
def test_no_sum_overflows(entity: EntityClient) -> None:
    """Integers of 64 bits add up beyond 64 bits, and floating-point numbers that no double holds are 422."""
    rows = [entity.make(big=2**63 - 1) for _ in range(3)] + [entity.make(big=-5)]
    assert f'"sum":{{"big":{3 * (2**63 - 1) - 5}}}' in aggregate(entity, id__in=only(rows), sum="big")
    rows = [entity.make(amount=9_999_999_999_999.99) for _ in range(3)]
    entity.call("DELETE", "/batch", params={"ids": only(rows[2:])})
    found = aggregate(entity, id__gte=str(rows[0]["id"]), id__lte=str(rows[-1]["id"]), sum="amount", count="")
    assert found == '{"items":[{"count":2,"sum":{"amount":19999999999999.98}}]}'
    rows = [entity.make(ratio=1.7e308) for _ in range(2)]
    for function in ("sum", "avg"):
        told = entity.call("GET", "/aggregate", params={"id__in": only(rows), function: "ratio"})
        assert faulty_members(told) == {function}
        assert "ratio: the sum is beyond the largest number; filter the rows" in told.text


@every_entity("list", "create", where=lambda registration: registration.resource.path == "everythings")
def test_floating_point_numbers_have_twelve_digits(entity: EntityClient) -> None:
    """Both databases add them up in their own order, and return the same."""
    rows = [entity.make(ratio=ratio) for ratio in (0.1, 0.2, -0.4, 1e6 / 3)]
    found = aggregate(entity, id__in=only(rows), sum="ratio", avg="ratio", min="ratio", max="ratio")
    assert found == (
        '{"items":[{"sum":{"ratio":333333.233333},"avg":{"ratio":83333.3083333},'
        '"min":{"ratio":-0.4},"max":{"ratio":333333.3333333333}}]}'
    )


@every_entity("list", "create", where=lambda registration: registration.resource.path == "everythings")
def test_numbers_that_cancel_keep_the_digits_that_both_databases_add(entity: EntityClient) -> None:
    """Twelve, counted from the largest number: PostgreSQL reads fifteen of each, and SQLite adds binary fractions."""
    for ratios, total, average in (
        ((1_000_000_000.1234567, -1_000_000_000.0), 0.12, 0.062),
        ((0.1, 0.2, -0.3), 0.0, 0.0),
        ((1e16, 1.0, -1e16), 0.0, 0.0),
        ((0.0,), 0.0, 0.0),
    ):
        query = {"id__in": only([entity.make(ratio=ratio) for ratio in ratios]), "sum": "ratio", "avg": "ratio"}
        found = entity.call("GET", "/aggregate", params=query).json()["items"]
        assert found == [{"sum": {"ratio": total}, "avg": {"ratio": average}}]


@every_entity("list", "create", where=lambda registration: registration.resource.path == "maybes")
def test_instants_group_by_day_month_and_year_in_utc(entity: EntityClient) -> None:
    """A null is a group of its own, the last one ascending."""
    at = ("2029-12-31T23:30:00-01:00", "2030-01-01T12:00:00Z", "2030-02-01T00:00:00Z", None)
    rows = [entity.make(occurs_at=instant) for instant in at]
    for unit, wanted in (("year", "2030"), ("month", "2030-01"), ("day", "2030-01-01")):
        group = f"occurs_at__{unit}"
        found = entity.call("GET", "/aggregate", params={"id__in": only(rows), "group_by": group}).json()["items"]
        assert found[0][group] == wanted
        assert found[-1] == {group: None, "count": 1}
        assert sum(item["count"] for item in found) == len(at)


@every_entity("list", "create", where=lambda registration: registration.resource.path == "maybes")
def test_dates_and_kinds_are_groups(entity: EntityClient) -> None:
    """A date by its month and year, enums by their values; several columns at once, null first descending."""
    kept = (("2029-12-31", "low"), ("2030-01-01", "high"), ("2030-01-31", "high"), (None, None))
    levels = {"low": 1, "high": 10, None: None}
    rows = [entity.make(day=day, level=levels[level]) for day, level in kept]
    query = {"id__in": only(rows), "group_by": "day__month,level", "sort": "-day__month", "count": ""}
    assert aggregate(entity, **query) == (
        '{"items":[{"day__month":null,"level":null,"count":1},{"day__month":"2030-01","level":10,"count":2},'
        '{"day__month":"2029-12","level":1,"count":1}]}'
    )
    assert aggregate(entity, id__in=only(rows), group_by="day__year") == (
        '{"items":[{"day__year":"2029","count":1},{"day__year":"2030","count":2},{"day__year":null,"count":1}]}'
    )
