"""Rules for deleted rows that are restored, and for the history of every row."""

from datetime import datetime

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from tests.stateful.machine import RuleSet, step
from tests.stateful.model import ADMIN, MISSING_ID, Refused, Row
from tests.stateful.strategies import CALLERS, EVERY_PLAN, PICKS
from tests.stateful.values import PLANS, Plan


class HistoryRules(RuleSet):
    """Restore and history."""

    @precondition(lambda self: any(table.deleted for table in self.model.tables.values()))
    @step(caller=CALLERS, which=PICKS)
    def restore(self, caller: str, which: int) -> None:
        """A deleted row is there again under its id and with a tag that it never had, if it still fits beside the others."""
        plan, key = self.pick_kept(caller, which)
        answer = self.send("POST", plan, f"/{key}/restore", caller=caller)
        row = self.expect(answer, 200, lambda: self.foretell_restored(plan, caller, key))
        if row is not None:
            found = answer.json()
            assert found == {**row, "updated_at": found["updated_at"]}
            assert datetime.fromisoformat(found["updated_at"]) > datetime.fromisoformat(row["updated_at"])
            self.model.store(plan, found, None)
            self.learn_tag(plan, key, answer)
            self.check_history(caller, plan, key, newest=True)

    def foretell_restored(self, plan: Plan, caller: str, key: int) -> Row:
        """The row as it was: whose it is comes first, then whether it is deleted, then what is stored."""
        self.model.admit_writer(caller)
        table = self.model.tables[plan.path]
        if key not in table.deleted:
            self.model.changeable(plan, caller, key)
            raise Refused(409, "not_deleted")
        row = table.deleted[key]
        if caller != ADMIN and not self.model.owns(plan, caller, row):
            raise Refused(*((404, "not_found") if plan.private else (403, "permission_denied")))
        codes = self.misfits(plan, row)
        if codes:
            raise Refused(409, *codes)
        return row

    def misfits(self, plan: Plan, row: Row) -> list[str]:
        """What keeps a row from its table.

        A unique value that is taken, and references to what is gone, in sight or not.
        """
        rows = self.model.tables[plan.path].rows.values()
        taken = [other[plan.unique] for other in rows if other[plan.unique] is not None]
        codes = ["duplicate"] if row[plan.unique] in taken else []
        for name, member in plan.members.items():
            if member.target is not None and row[name] is not None:
                there = {*self.model.tables[member.target].rows, *([row["id"]] if member.target == plan.path else [])}
                codes += [] if row[name] in there else ["reference_not_found"]
        return codes

    @step(caller=CALLERS, plan=EVERY_PLAN, which=PICKS, kept=st.booleans(), newest=st.booleans())
    def look_back(self, caller: str, plan: Plan, which: int, kept: bool, newest: bool) -> None:  # noqa: FBT001  by keyword
        """The history of a row that is there, or is gone."""
        key = self.pick(plan.path, caller, which)
        if kept:
            plan, key = self.pick_kept(caller, which)
        self.check_history(caller, plan, key, newest=newest)

    def check_history(self, caller: str, plan: Plan, key: int, *, newest: bool) -> None:
        """Every change of the row, who made it, and the row before and after; from either end."""
        query = {"sort": "-id", "size": "2"} if newest else {"size": "100"}
        answer = self.send("GET", plan, f"/{key}/history", caller=caller, params=query)
        entries = self.expect(answer, 200, lambda: self.foretell_history(plan, caller, key))
        if entries is not None:
            page = answer.json()
            shown = [{n: v for n, v in item.items() if n not in ("id", "at")} for item in page["items"]]
            assert shown == (entries[-1:-3:-1] if newest else entries)
            assert page["total"] == len(entries)
            ids, instants = ([item[name] for item in page["items"]] for name in ("id", "at"))
            assert ids == sorted(set(ids), reverse=newest)
            assert [datetime.fromisoformat(at) for at in instants] == sorted(
                map(datetime.fromisoformat, instants), reverse=newest
            )

    def foretell_history(self, plan: Plan, caller: str, key: int) -> list[Row]:
        """The entries of a row that the caller sees, or saw when it went; who made them, for who may change it."""
        self.model.admit_reader(plan, caller)
        table = self.model.tables[plan.path]
        last = table.deleted.get(key)
        if last is None:
            self.model.get(plan, caller, key)
        elif plan.private and caller != ADMIN and not self.model.owns(plan, caller, last):
            raise Refused(404, "not_found")
        row = table.rows[key] if last is None else last
        if caller == ADMIN or self.model.owns(plan, caller, row):
            return table.history[key]
        return [{**entry, "by": None} for entry in table.history[key]]

    def pick_kept(self, caller: str, number: int) -> tuple[Plan, int]:
        """The row that a pick means.

        Mostly a deleted one of the caller's, else any, or one that is there or never was.
        """
        tables = [(plan, self.model.tables[plan.path]) for plan in PLANS.values()]
        deleted = [(plan, key) for plan, table in tables for key in sorted(table.deleted)]
        own = [
            one for one in deleted if self.model.owns(one[0], caller, self.model.tables[one[0].path].deleted[one[1]])
        ]
        there = [(plan, key) for plan, table in tables for key in (*sorted(table.rows), MISSING_ID)]
        found = (own or deleted or there, own or deleted or there, deleted or there, there)[number % 4]
        return found[number // 4 % len(found)]
