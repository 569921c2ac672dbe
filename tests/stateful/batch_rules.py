"""Rules for batches: all rows or none, and the error names the element."""

import json
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import initialize

from tests.stateful.machine import step
from tests.stateful.model import INVALID, Refused, Row
from tests.stateful.row_rules import Kept, RowRules
from tests.stateful.strategies import CALLERS, EVERY_PLAN, PICKS, SELDOM, SIGNED_IN, Drawn, batches, beginnings
from tests.stateful.values import Plan

CALLERS_OF_MANY = st.one_of(SIGNED_IN, SIGNED_IN, CALLERS)
PICKED = st.lists(PICKS, min_size=1, max_size=4)


class BatchRules(RowRules):
    """Batches."""

    @initialize(drawn=beginnings())
    def begin(self, drawn: list[tuple[str, list[Drawn]]]) -> None:
        """Some rows of everybody's to begin with."""
        for caller, bodies in drawn:
            self.add_many(caller, bodies, keyed=False)

    @step(caller=CALLERS_OF_MANY, drawn=batches(whole=True), keyed=SELDOM)
    def create_many(self, caller: str, drawn: list[Drawn], keyed: bool) -> None:  # noqa: FBT001  by keyword
        """As if one were made after the other, but all or none."""
        self.add_many(caller, drawn, keyed=keyed)

    def add_many(self, caller: str, drawn: list[Drawn], *, keyed: bool) -> None:
        """Send a batch of new rows."""
        plan, sent = drawn[0].plan, [self.resolve(caller, one) for one in drawn]
        key, content = f"key-{self.ground.next_number()}", json.dumps(sent).encode()
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if keyed else {})
        answer = self.send("POST", plan, "/batch", caller=caller, content=content, headers=headers)
        foretold = self.expect(answer, 201, lambda: self.foretell_many_new(plan, caller, sent))
        if foretold is None:
            return
        rows = answer.json()
        assert [row["id"] for row in rows] == sorted({row["id"] for row in rows})
        for values, row in zip(foretold, rows, strict=True):
            self.check_new(plan, caller, values, row)
            self.model.store(plan, row, None)
        if keyed:
            self.kept.append(Kept(plan, caller, "/batch", key, content, answer.content, None))

    def foretell_many_new(self, plan: Plan, caller: str, sent: list[Row]) -> list[Row]:
        """The values of each new row; each must get on with those before it, too."""
        self.model.admit_writer(caller)
        values = self.each(sent, lambda body: self.model.shown(plan, body, whole=True))
        faults, codes = [], set()
        for position, row in enumerate(values):
            found = self.model.conflicts(plan, caller, row)
            if row[plan.unique] is not None and row[plan.unique] in [one[plan.unique] for one in values[:position]]:
                found.append("duplicate")
            faults += [position] if found else []
            codes.update(found)
        if faults:
            raise Refused(409, *codes).at(*faults)
        return values

    @step(caller=CALLERS_OF_MANY, drawn=batches(whole=False), picks=PICKED, again=SELDOM)
    def change_many(self, caller: str, drawn: list[Drawn], picks: list[int], again: bool) -> None:  # noqa: FBT001  by keyword
        """Each row changes by its own members, all or none."""
        plan = drawn[0].plan
        picked = self.pick_many(plan.path, caller, picks, again=again)
        sent = [{**self.resolve(caller, one), "id": key} for key, one in zip(picked, drawn, strict=False)]
        keys = picked[: len(sent)]
        answer = self.send("PATCH", plan, "/batch", caller=caller, json=sent)
        if answer.status_code == 409 and self.depends_on_the_order(plan, sent):
            return
        foretold = self.expect(answer, 200, lambda: self.foretell_many_changes(plan, caller, sent))
        if foretold is None:
            return
        for key, values, row in zip(keys, foretold, answer.json(), strict=True):
            self.check_changed(self.model.tables[plan.path].rows[key], values, row)
            self.model.store(plan, row, None)

    def foretell_many_changes(self, plan: Plan, caller: str, sent: list[Row]) -> list[Row]:
        """What changes in each row: what is wrong in itself comes first.

        Else the first element is told that is not the caller's or clashes.
        """
        self.model.admit_writer(caller)
        values = self.each(sent, lambda body: self.changes_of(plan, body))
        for position, changes in enumerate(values):
            if not changes:
                raise Refused(400, "empty_update").at(position)
        keys = [body["id"] for body in sent]
        self.refuse_repeated(keys)
        for position, key in enumerate(keys):
            try:
                self.model.changeable(plan, caller, key)
            except Refused as refused:
                self.check_final(plan, caller, keys[:position], values[:position])
                raise refused.at(position) from None
        self.check_final(plan, caller, keys, values)
        return values

    def changes_of(self, plan: Plan, body: Row) -> Row:
        """The members of an element that are to be stored; its `id` says where."""
        return self.model.shown(plan, {name: value for name, value in body.items() if name != "id"}, whole=False)

    def check_final(self, plan: Plan, caller: str, keys: Sequence[int], values: Sequence[Row]) -> None:
        """After all changes each unique value must stand once; which of two that clash is named is left open."""
        stored = self.model.tables[plan.path].rows
        final = {key: row[plan.unique] for key, row in stored.items()}
        final |= {key: row[plan.unique] for key, row in zip(keys, values, strict=True) if plan.unique in row}
        held = list(final.values())
        faults, codes = [], set()
        for position, (key, row) in enumerate(zip(keys, values, strict=True)):
            found = self.model.conflicts(plan, caller, {**row, plan.unique: None}, key)
            if row.get(plan.unique) is not None and held.count(final[key]) > 1:
                found.append("duplicate")
            faults += [position] if found else []
            codes.update(found)
        if faults:
            raise Refused(409, *codes).at(*self.clashing(plan, sent_keys=keys, values=values), *faults)

    def clashing(self, plan: Plan, *, sent_keys: Sequence[int], values: Sequence[Row]) -> list[int]:
        """The elements whose new unique value another of the rows has at present."""
        stored = self.model.tables[plan.path].rows
        present = {row[plan.unique]: key for key, row in stored.items() if row[plan.unique] is not None}
        found = []
        for position, (key, row) in enumerate(zip(sent_keys, values, strict=True)):
            if present.get(row.get(plan.unique), key) != key:
                found.append(position)
        return found

    def depends_on_the_order(self, plan: Plan, sent: list[Row]) -> bool:
        """Whether a row takes a unique value that another of the batch gives away; then a 409 is right as well."""
        giving = {body["id"] for body in sent if plan.unique in body}
        taken = {row[plan.unique] for key, row in self.model.tables[plan.path].rows.items() if key in giving}
        return any(body.get(plan.unique) in taken - {None} for body in sent)

    @step(caller=CALLERS_OF_MANY, plan=EVERY_PLAN, picks=PICKED, again=SELDOM)
    def delete_many(self, caller: str, plan: Plan, picks: list[int], again: bool) -> None:  # noqa: FBT001  by keyword
        """All go, or none: also where a row that stays refers to one of them."""
        keys = self.pick_many(plan.path, caller, picks, again=again)
        ids = ",".join(map(str, keys))
        answer = self.send("DELETE", plan, "/batch", caller=caller, params={"ids": ids})

        def foretell() -> bool:
            self.model.admit_writer(caller)
            self.refuse_repeated(keys)
            self.each(keys, lambda key: self.model.changeable(plan, caller, key))
            self.check_unreferenced(plan, keys)
            return True

        if self.expect(answer, 204, foretell):
            for key in keys:
                self.model.remove(plan, key)

    def check_unreferenced(self, plan: Plan, keys: Sequence[int]) -> None:
        """Rows that go together do not hold each other.

        Where another holds one, any that is referred to may be named.
        """
        named = [position for position, key in enumerate(keys) if self.model.is_held(plan, key, ())]
        if any(self.model.is_held(plan, key, keys) for key in keys):
            raise Refused(409, "still_referenced").at(*named)

    # -- elements ----------------------------------------------------------------------------------------------------

    def each(self, elements: Sequence[Any], foretell: Callable[[Any], Any]) -> list[Any]:
        """What is foretold of each element; of several that are at fault any may be named."""
        found, faults = [], []
        first: Refused | None = None
        for position, element in enumerate(elements):
            try:
                found.append(foretell(element))
            except Refused as refused:
                first = first or refused
                faults += [position] if refused.status == first.status else []
        if first is not None:
            raise first.at(*faults)
        return found

    def refuse_repeated(self, keys: Sequence[int]) -> None:
        """Each row is named once."""
        again = [position for position, key in enumerate(keys) if key in keys[:position]]
        if again:
            raise Refused(422, INVALID).at(again[0])
