"""The strategies of hypothesis: bodies, queries and picks of rows.

A pick is a number, because the rows are known only when it is used.
"""

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.stateful.list_model import OPERATORS, Filter, Query
from tests.stateful.model import ADMIN, NOBODY
from tests.stateful.values import CODES, PIECES, PLANS, Member, Plan

CALLERS = st.sampled_from(("anna", "bert", ADMIN, "anna", "bert", NOBODY))
SIGNED_IN = st.sampled_from(("anna", "bert", ADMIN))
PICKS = st.integers(0, 63)
EVERY_PLAN = st.sampled_from(list(PLANS.values()))
SIZES = st.sampled_from((1, 2, 3, 5, 2, 3, 100))
HOW_MANY_FILTERS = st.sampled_from((0, 0, 0, 1, 1, 2))
HOW_MANY_BRANCHES = st.sampled_from((0, 0, 0, 0, 2, 3))
SELDOM = st.sampled_from((*(False,) * 7, True))
LEFT_OUT = object()


@dataclass(frozen=True)
class Pick:
    """Stands for the id of a row in a drawn body."""

    number: int


@dataclass(frozen=True)
class Drawn:
    """An entity and a body for it, whose picks are not resolved yet."""

    plan: Plan
    members: dict[str, Any]


def _value(member: Member) -> SearchStrategy[Any]:
    if member.target is not None:
        return st.one_of(st.none(), PICKS.map(Pick))
    return st.sampled_from([sent for sent, _ in member.pairs])


def _new(plan: Plan) -> SearchStrategy[dict[str, Any]]:
    """What a new row must have, and about half of what it may have."""
    values = {name: (_value(member), member.required) for name, member in plan.members.items()}
    drawn = {name: value if must else st.one_of(st.just(LEFT_OUT), value) for name, (value, must) in values.items()}
    return st.fixed_dictionaries(drawn).map(
        lambda body: {name: value for name, value in body.items() if value is not LEFT_OUT}
    )


@st.composite
def _changed(draw: st.DrawFn, plan: Plan) -> dict[str, Any]:
    """A few members, seldom none."""
    names = draw(st.lists(st.sampled_from(list(plan.members)), min_size=1, max_size=3, unique=True))
    return {} if draw(SELDOM) and draw(SELDOM) else {name: draw(_value(plan.members[name])) for name in names}


def _spoilt(plan: Plan) -> SearchStrategy[dict[str, Any]]:
    """A member that no body of this entity may have."""
    refused = [{name: value} for name, member in plan.members.items() for value in member.refused]
    strange: list[dict[str, Any]] = [{"id": 1}, {plan.owner: 1}, {"created_at": "2030-01-01T00:00:00Z"}, {"nope": 1}]
    return st.sampled_from([*strange, *refused])


NEW = {path: _new(plan) for path, plan in PLANS.items()}
CHANGED = {path: _changed(plan) for path, plan in PLANS.items()}
SPOILT = {path: _spoilt(plan) for path, plan in PLANS.items()}


@st.composite
def bodies(draw: st.DrawFn, *, whole: bool, spoilt: SearchStrategy[bool] = SELDOM) -> Drawn:
    """A body for a new row, or for a change; seldom with a fault."""
    plan = draw(EVERY_PLAN)
    members = draw(NEW[plan.path] if whole else CHANGED[plan.path])
    return Drawn(plan, {**members, **draw(SPOILT[plan.path])} if draw(spoilt) else members)


@st.composite
def batches(draw: st.DrawFn, *, whole: bool) -> list[Drawn]:
    """Bodies for many rows of one entity, seldom one of them with a fault."""
    plan = draw(EVERY_PLAN)
    made = draw(st.lists(NEW[plan.path] if whole else CHANGED[plan.path], min_size=1, max_size=6))
    if draw(SELDOM):
        position = draw(st.integers(0, len(made) - 1))
        made[position] = {**made[position], **draw(SPOILT[plan.path])}
    return [Drawn(plan, members) for members in made]


@st.composite
def beginnings(draw: st.DrawFn) -> list[tuple[str, list[Drawn]]]:
    """A batch of each entity for each account, all valid, whatever their order.

    Each unique value once, no references.
    """
    found = []
    for plan in PLANS.values():
        codes = iter(CODES)
        for caller in ("anna", "bert", ADMIN):
            made = draw(st.lists(NEW[plan.path], min_size=3, max_size=3))
            bodies = [
                {n: v for n, v in {**body, plan.unique: next(codes)}.items() if type(v) is not Pick} for body in made
            ]
            found.append((caller, [Drawn(plan, body) for body in bodies]))
    return found


@st.composite
def filters(draw: st.DrawFn, plan: Plan, name: str) -> Filter:
    """A filter on a column."""
    kind = plan.kinds[name]
    operator = draw(st.sampled_from(OPERATORS[kind]))
    if operator == "isnull":
        value = draw(st.booleans())
        return Filter(name, operator, ((value, value),))
    if operator in ("contains", "startswith", "endswith"):
        piece = draw(st.sampled_from(PIECES))
        return Filter(name, operator, ((piece, piece),))
    many = operator in ("in", "not_in", "between")
    listed = [pair for pair in _pairs(plan, name) if pair[0] is not None and not (many and "," in str(pair[0]))]
    least, most = {"in": (1, 3), "not_in": (1, 3), "between": (2, 2)}.get(operator, (1, 1))
    asked = draw(st.lists(st.sampled_from(listed), min_size=least, max_size=most))
    return Filter(name, operator, tuple(asked))


def _pairs(plan: Plan, name: str) -> list[tuple[Any, Any]]:
    """What a filter on a column may ask for; of ids and owners the small numbers, of timestamps the ends of time."""
    member = plan.members.get(name)
    if member is not None and member.target is None:
        return list(member.pairs)
    if plan.kinds[name] == "instant":
        return [(text, text) for text in ("2000-01-01T00:00:00Z", "2999-01-01T00:00:00Z")]
    return [(number, number) for number in range(12)]


@st.composite
def queries(draw: st.DrawFn, plan: Plan, *, filtered: bool) -> Query:
    """A query of up to three columns to sort by, up to two filters, sometimes filters joined by OR, seldom a search."""
    names = list(plan.kinds)
    signs = ("", "-")
    words = st.sampled_from([sign + name for name in names for sign in signs])
    sort = draw(st.lists(words, max_size=3, unique_by=lambda word: word.removeprefix("-")))
    branches = tuple(draw(_filters_of_columns(plan, st.integers(1, 2))) for _ in range(draw(HOW_MANY_BRANCHES)))
    if not filtered:
        return Query(sort=tuple(sort), branches=branches)
    search = draw(st.sampled_from(PIECES)) if draw(SELDOM) else None
    return Query(draw(_filters_of_columns(plan, HOW_MANY_FILTERS)), tuple(sort), search, branches)


@st.composite
def _filters_of_columns(draw: st.DrawFn, plan: Plan, how_many: SearchStrategy[int]) -> tuple[Filter, ...]:
    """A filter on each of some columns."""
    chosen = {draw(st.sampled_from(list(plan.kinds))) for _ in range(draw(how_many))}
    return tuple(draw(filters(plan, name)) for name in sorted(chosen))


@st.composite
def planned_queries(draw: st.DrawFn, *, filtered: bool = True) -> tuple[Plan, Query]:
    """An entity and a query of its list."""
    plan = draw(EVERY_PLAN)
    return plan, draw(queries(plan, filtered=filtered))
