"""Rules for lists: filters, search, sorting, pages, and walks by cursor during other changes."""

from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition
from hypothesis.strategies import SearchStrategy

from tests.stateful.list_model import Query, behind, selected
from tests.stateful.machine import RuleSet, StatefulApplication, step
from tests.stateful.model import Refused, Row
from tests.stateful.strategies import CALLERS, PICKS, SIGNED_IN, SIZES, planned_queries
from tests.stateful.values import Plan

WINDOWS: SearchStrategy[dict[str, int]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"page": st.integers(1, 4), "size": SIZES}),
    st.fixed_dictionaries({"skip": st.integers(0, 9), "limit": SIZES}),
    SIZES.map(lambda size: {"size": size}),
    st.sampled_from([{"page": 0}, {"size": 101}, {"limit": 0}, {"skip": -1}, {"page": 1, "limit": 1}, {"nope": 1}]),
)
FOLLOWING = st.sampled_from((None, None, "size", "limit", "repeated", "other"))
Found = tuple[Plan, Query]


@dataclass
class Walk:
    """A list that somebody goes through by cursor. `before` holds the rows that there were when it began."""

    plan: Plan
    caller: str
    query: Query
    size: int
    cursor: str
    last: Row
    before: dict[int, Row]
    seen: list[Row] = field(default_factory=list)


class ListRules(RuleSet):
    """Lists and walks."""

    def __init__(self, ground: StatefulApplication) -> None:
        super().__init__(ground)
        self.walks: list[Walk] = []

    @step(caller=CALLERS, found=planned_queries(), window=WINDOWS)
    def list(self, caller: str, found: Found, window: dict[str, int]) -> None:
        """A page: its rows, the total, the number of pages, and a cursor where more follow."""
        self.look(caller, found, window)

    @step(caller=SIGNED_IN, found=planned_queries(filtered=False), size=st.integers(1, 3))
    def begin_to_walk(self, caller: str, found: Found, size: int) -> None:
        """The first of many small pages."""
        self.look(caller, found, {"size": size})

    def look(self, caller: str, found: Found, window: dict[str, int]) -> None:
        """Ask for a page, and remember how to go on."""
        plan, query = found
        parameters = {**query.written(), **{name: str(number) for name, number in window.items()}}
        answer = self.send("GET", plan, caller=caller, params=parameters)

        def foretell() -> list[Row]:
            self.model.admit_reader(plan, caller)
            if not is_window(window):
                raise Refused(422, "invalid_input")
            return selected(plan, query, self.model.visible(plan, caller))

        rows = self.expect(answer, 200, foretell)
        if rows is None:
            return
        size = window.get("size", window.get("limit", 50))
        skipped = window.get("skip", (window.get("page", 1) - 1) * size)
        page = answer.json()
        assert page["items"] == rows[skipped : skipped + size]
        assert (page["total"], page["size"], page["pages"]) == (len(rows), size, -(-len(rows) // size))
        assert page["page"] == skipped // size + 1
        self.check_cursor(page, follows=len(rows) > skipped + size)
        if page["next_cursor"]:
            before = {row["id"]: row for row in rows[skipped:]}
            walk = Walk(plan, caller, query, size, page["next_cursor"], page["items"][-1], before, page["items"])
            self.walks = [*self.walks[-2:], walk]

    @precondition(lambda self: self.walks)
    @step(which=PICKS, how=FOLLOWING)
    def walk_on(self, which: int, how: str | None) -> None:
        """The page behind the last row of the one before, whatever has changed since: exactly what stands there now."""
        walk = self.walks[which % len(self.walks)]
        extra = {
            "size": {"size": "2"},
            "limit": {"limit": "4"},
            "repeated": walk.query.written(),
            "other": {"page": "1"},
        }
        parameters = {"cursor": walk.cursor, **extra.get(str(how), {})}
        answer = self.send("GET", walk.plan, caller=walk.caller, params=parameters)
        if how == "other":
            self.check_refusal(answer, Refused(422, "invalid_input"))
            return
        walk.size = {"size": 2, "limit": 4}.get(str(how), walk.size)
        rows = behind(walk.plan, walk.query, self.model.visible(walk.plan, walk.caller), walk.last)
        assert answer.status_code == 200, answer.text
        page = answer.json()
        assert page["items"] == rows[: walk.size]
        assert (page["total"], page["page"], page["pages"], page["size"]) == (None, None, None, walk.size)
        self.check_cursor(page, follows=len(rows) > walk.size)
        walk.seen += page["items"]
        if page["next_cursor"]:
            walk.cursor, walk.last = page["next_cursor"], page["items"][-1]
        else:
            self.end(walk)

    def end(self, walk: Walk) -> None:
        """Of the rows that were there all the time and stayed as they were, the walk has given each once."""
        self.walks.remove(walk)
        now = self.model.tables[walk.plan.path].rows
        seen = [row["id"] for row in walk.seen]
        for key, row in walk.before.items():
            if now.get(key) == row:
                assert seen.count(key) == 1, f"{key} was given {seen.count(key)} times"

    @precondition(lambda self: self.walks)
    @step(which=PICKS, caller=CALLERS)
    def walk_as_another(self, which: int, caller: str) -> None:
        """A cursor opens to nobody what is not theirs: another gets their own rows behind the same place."""
        walk = self.walks[which % len(self.walks)]
        answer = self.send("GET", walk.plan, caller=caller, params={"cursor": walk.cursor})

        def foretell() -> list[Row]:
            self.model.admit_reader(walk.plan, caller)
            return behind(walk.plan, walk.query, self.model.visible(walk.plan, caller), walk.last)

        rows = self.expect(answer, 200, foretell)
        if rows is not None:
            assert answer.json()["items"] == rows[: answer.json()["size"]]

    def check_cursor(self, page: dict[str, Any], *, follows: bool) -> None:
        """There is a cursor where more rows follow, and null where none do."""
        assert isinstance(page["next_cursor"], str) if follows else page["next_cursor"] is None


def is_window(window: dict[str, int]) -> bool:
    """Whether the contract takes this window."""
    within = {"page": range(1, 10), "size": range(1, 101), "skip": range(10), "limit": range(1, 101)}
    mixed = window.keys() & {"page", "size"} and window.keys() & {"skip", "limit"}
    return not mixed and all(number in within.get(name, ()) for name, number in window.items())
