"""Rules over what is kept: deleted rows that come back, and the history of every row, there or gone."""

from datetime import datetime

from hypothesis import strategies as st

from tests.machine.core import Part, step
from tests.machine.drawing import CALLERS, EVERY_PLAN, PICKS
from tests.machine.model import ADMIN, MISSING_ID, Refused, Row
from tests.machine.values import Plan


class Keeping(Part):
    """Restore and history."""

    @step(caller=CALLERS, plan=EVERY_PLAN, which=PICKS)
    def restore(self, caller: str, plan: Plan, which: int) -> None:
        """A deleted row is there again under its id and with a tag that it never had, if it still fits beside the others."""
        key = self.pick_kept(plan, which)
        answer = self.send("POST", plan, f"/{key}/restore", caller=caller)
        row = self.expect(answer, 200, lambda: self.foretell_restored(plan, caller, key))
        if row is not None:
            found = answer.json()
            assert found == {**row, "updated_at": found["updated_at"]}
            assert datetime.fromisoformat(found["updated_at"]) > datetime.fromisoformat(row["updated_at"])
            self.model.store(plan, found, None)
            self.learn_tag(plan, key, answer)

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
        """What keeps a row from its table: a unique value that is taken, and references to what is gone, in sight or not."""
        rows = self.model.tables[plan.path].rows.values()
        taken = [other[plan.unique] for other in rows if other[plan.unique] is not None]
        codes = ["duplicate"] if row[plan.unique] in taken else []
        for name, member in plan.members.items():
            if member.target is not None and row[name] is not None:
                there = {*self.model.tables[member.target].rows, *([row["id"]] if member.target == plan.path else [])}
                codes += [] if row[name] in there else ["reference_not_found"]
        return codes

    @step(caller=CALLERS, plan=EVERY_PLAN, which=PICKS, newest=st.booleans())
    def look_back(self, caller: str, plan: Plan, which: int, newest: bool) -> None:  # noqa: FBT001  by keyword
        """Every change of the row, who made it, and the row before and after; from either end."""
        key = self.pick_kept(plan, which)
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
        """The entries of a row that the caller sees, or saw when it went."""
        self.model.admit_reader(plan, caller)
        table = self.model.tables[plan.path]
        last = table.deleted.get(key)
        if last is None:
            self.model.get(plan, caller, key)
        elif plan.private and caller != ADMIN and not self.model.owns(plan, caller, last):
            raise Refused(404, "not_found")
        return table.history[key]

    def pick_kept(self, plan: Plan, number: int) -> int:
        """The id that a pick means: mostly of a deleted row, else of one that is there, or that never was."""
        table = self.model.tables[plan.path]
        keys = sorted(table.deleted) if number % 3 else [*sorted(table.rows), MISSING_ID]
        return keys[number // 3 % len(keys)] if keys else MISSING_ID
