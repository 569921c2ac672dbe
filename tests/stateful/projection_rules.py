"""Rules for `fields`, `expand` and exports."""

import csv
import io
import json
from typing import Any

from hypothesis import strategies as st

from tests.stateful.list_model import Query, selected
from tests.stateful.machine import RuleSet, step
from tests.stateful.model import Row
from tests.stateful.strategies import CALLERS, SIGNED_IN, planned_queries
from tests.stateful.values import CRATES, EXHIBITS, PLANS, Plan

Found = tuple[Plan, Query]
# By entity and name: the member here, the other entity, its member, and whether there are many.
RELATIONS = {
    "crates": {"exhibits": ("id", EXHIBITS, "crate_id", True)},
    "exhibits": {
        "crate": ("crate_id", CRATES, "id", False),
        "twin": ("twin_id", EXHIBITS, "id", False),
        "exhibits": ("id", EXHIBITS, "twin_id", True),
    },
}
READERS = st.one_of(SIGNED_IN, SIGNED_IN, CALLERS)
MEMBERS = st.lists(st.sampled_from(sorted({name for plan in PLANS.values() for name in plan.kinds})), max_size=4)
EXPANDED = st.sets(st.sampled_from(("exhibits", "crate", "twin")), min_size=1)


class ProjectionRules(RuleSet):
    """Views and exports."""

    @step(caller=CALLERS, found=planned_queries(), members=MEMBERS, names=EXPANDED)
    def view(self, caller: str, found: Found, members: list[str], names: set[str]) -> None:
        """A list, and its first row alone.

        Only the members that are asked for, and related rows that the caller sees.
        """
        plan, query = found
        fields, names = self.shown_of(plan, members), names & RELATIONS[plan.path].keys()
        view = narrowing(fields) | ({"expand": ",".join(sorted(names))} if names else {})
        answer = self.send("GET", plan, caller=caller, params={**query.written(), **view, "size": "100"})

        def foretell() -> list[Row]:
            self.model.admit_reader(plan, caller)
            for name in sorted(names):
                self.model.admit_reader(RELATIONS[plan.path][name][1], caller)
            return selected(plan, query, self.model.visible(plan, caller))

        rows = self.expect(answer, 200, foretell)
        if rows is None:
            return
        expected = [self.viewed(plan, caller, row, fields, names) for row in rows]
        assert answer.json()["items"] == expected[:100]
        assert answer.json()["total"] == len(rows)
        if rows:
            alone = self.send("GET", plan, f"/{rows[0]['id']}", caller=caller, params=view)
            assert (alone.status_code, alone.json()) == (200, expected[0])
            self.learn_tag(plan, rows[0]["id"], alone)

    @step(caller=READERS, found=planned_queries(), members=MEMBERS, sheet=st.booleans())
    def export(self, caller: str, found: Found, members: list[str], sheet: bool) -> None:  # noqa: FBT001  by keyword
        """All that the list selects, in its order, as a file."""
        plan, query = found
        fields = self.shown_of(plan, members)
        parameters = {**query.written(), **narrowing(fields), "format": "csv" if sheet else "ndjson"}
        answer = self.send("GET", plan, "/export", caller=caller, params=parameters)

        def foretell() -> list[Row]:
            self.model.admit_reader(plan, caller)
            return selected(plan, query, self.model.visible(plan, caller))

        rows = self.expect(answer, 200, foretell)
        if rows is None:
            return
        expected = [self.viewed(plan, caller, row, fields, set()) for row in rows]
        if sheet:
            check_sheet(answer.text, expected)
        else:
            assert [json.loads(line) for line in answer.text.split("\n")[:-1]] == expected

    def shown_of(self, plan: Plan, members: list[str]) -> list[str]:
        """Those of the drawn members that the entity has, each once; none for all of them."""
        return [name for name in dict.fromkeys(members) if name in plan.kinds]

    def viewed(self, plan: Plan, caller: str, row: Row, fields: list[str], names: set[str]) -> Row:
        """A row as the view shows it."""
        found = {name: row[name] for name in fields or row}
        for name in names:
            local, other, remote, is_many = RELATIONS[plan.path][name]
            related = [one for one in self.model.visible(other, caller) if one[remote] == row[local]]
            found[name] = related if is_many else next(iter(related), None)
        return found


def narrowing(fields: list[str]) -> dict[str, str]:
    """The parameter that asks for these members."""
    return {"fields": ",".join(fields)} if fields else {}


def check_sheet(text: str, expected: list[Row]) -> None:
    """Each row has its line; what is neither text nor a number is in its cell as it is shown."""
    lines = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(lines) == len(expected)
    for line, row in zip(lines, expected, strict=True):
        assert line.keys() == row.keys()
        for name, value in row.items():
            assert agrees(line[name], value), (line, row)


def agrees(cell: str, value: Any) -> bool:
    """Whether a cell holds a value; text may have a mark before it that keeps spreadsheets from running it."""
    if value is None:
        return cell == ""
    return cell.removeprefix("'") == value if isinstance(value, str) else float(cell) == value
