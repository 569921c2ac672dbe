"""A model of the contract (docs/contract.md §2 to §5) in lists and dicts.

Stored rows, who sees them, and the response to every request. It uses nothing of the engine. Rows are as JSON shows
them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.stateful.values import PLANS, Plan

Row = dict[str, Any]
NOBODY, ADMIN = "nobody", "admin"
MISSING_ID = 2_000_000_000


class Refused(Exception):  # noqa: N818  what the contract says, not a fault of the test
    """The answer is an error with this status and one of these codes, said of one of these elements of a batch."""

    def __init__(self, status: int, *codes: str) -> None:
        super().__init__(status, codes)
        self.status = status
        self.codes = codes
        self.elements: tuple[int, ...] | None = None

    def at(self, *elements: int) -> "Refused":
        """The same, said of an element."""
        self.elements = elements
        return self


INVALID = "invalid_input"


@dataclass
class Table:
    """The rows of one entity by id, with the entity tags that each has had, the present one last (None: not seen yet).

    The rows that are deleted are kept as they were, and of every row its history, the oldest entry first.
    """

    rows: dict[int, Row] = field(default_factory=dict)
    tags: dict[int, list[str | None]] = field(default_factory=dict)
    gone: list[int] = field(default_factory=list)
    deleted: dict[int, Row] = field(default_factory=dict)
    history: dict[int, list[Row]] = field(default_factory=dict)


class Model:
    """What is stored, and what the contract says to a caller who wants to read or change it."""

    def __init__(self, accounts: Mapping[str, int]) -> None:
        self.accounts = accounts
        self.tables = {path: Table() for path in PLANS}
        self.acting = NOBODY

    # -- who may -----------------------------------------------------------------------------------------------------

    def visible(self, plan: Plan, caller: str) -> list[Row]:
        """The rows that a caller sees, by id."""
        rows = [row for _, row in sorted(self.tables[plan.path].rows.items())]
        return rows if not plan.private or caller == ADMIN else [row for row in rows if self.owns(plan, caller, row)]

    def owns(self, plan: Plan, caller: str, row: Row) -> bool:
        """Whether a row is the caller's."""
        return bool(row[plan.owner] == self.accounts.get(caller))

    def admit_reader(self, plan: Plan, caller: str) -> None:
        """What is private takes an account."""
        if caller == NOBODY and plan.private:
            raise Refused(401, "not_authenticated")

    def admit_writer(self, caller: str) -> None:
        """Writing takes an account."""
        if caller == NOBODY:
            raise Refused(401, "not_authenticated")

    def get(self, plan: Plan, caller: str, key: int) -> Row:
        """A row that the caller may read; someone else's private one is as good as missing."""
        for row in self.visible(plan, caller):
            if row["id"] == key:
                return row
        raise Refused(404, "not_found")

    def changeable(self, plan: Plan, caller: str, key: int) -> Row:
        """A row that the caller may change; 403 for one that is only to be read."""
        row = self.get(plan, caller, key)
        if caller != ADMIN and not self.owns(plan, caller, row):
            raise Refused(403, "permission_denied")
        return row

    # -- what may be stored ------------------------------------------------------------------------------------------

    def shown(self, plan: Plan, body: Mapping[str, Any], *, whole: bool) -> Row:
        """The members of a body as they are stored, with the defaults if it makes a whole row."""
        found: Row = {}
        for name, sent in body.items():
            found[name] = self._shown_value(plan, name, sent)
        for name, member in plan.members.items() if whole else ():
            if name not in found and member.required:
                raise Refused(422, INVALID)
            found.setdefault(name, member.default)
        return found

    def _shown_value(self, plan: Plan, name: str, sent: Any) -> Any:
        member = plan.members.get(name)
        if member is None:
            raise Refused(422, INVALID)
        if member.target is not None:
            if sent is not None and (type(sent) is not int or not 0 <= sent < 2**31):
                raise Refused(422, INVALID)
            return sent
        for listed, shown in member.pairs:
            if type(listed) is type(sent) and listed == sent:
                return shown
        raise Refused(422, INVALID)

    def check_conflicts(self, plan: Plan, caller: str, values: Mapping[str, Any], key: int | None = None) -> None:
        """Refuse what contradicts other rows."""
        codes = self.conflicts(plan, caller, values, key)
        if codes:
            raise Refused(409, *codes)

    def conflicts(self, plan: Plan, caller: str, values: Mapping[str, Any], key: int | None = None) -> list[str]:
        """What is wrong: a unique value is taken once, and a reference leads to a row that the caller sees."""
        codes = []
        taken = values.get(plan.unique)
        if taken is not None and any(
            row[plan.unique] == taken for other, row in self.tables[plan.path].rows.items() if other != key
        ):
            codes.append("duplicate")
        for name, value in values.items():
            target = plan.members[name].target
            seen = [row["id"] for row in self.visible(PLANS[target], caller)] if target else []
            if target is not None and value is not None and value not in seen:
                codes.append("reference_not_found")
        return codes

    def is_held(self, plan: Plan, key: int, together: Sequence[int]) -> bool:
        """Whether another row refers to a row; those that go `together` with it do not hold it."""
        for other in PLANS.values():
            gone = (key, *together) if other is plan else ()
            staying = [row for row in self.tables[other.path].rows.values() if row["id"] not in gone]
            names = [name for name, member in other.members.items() if member.target == plan.path]
            if any(row[name] == key for row in staying for name in names):
                return True
        return False

    # -- what is stored ----------------------------------------------------------------------------------------------

    def store(self, plan: Plan, row: Row, tag: str | None) -> None:
        """A row as it is now, made, changed or restored."""
        table, key = self.tables[plan.path], row["id"]
        before, was_deleted = table.rows.get(key), table.deleted.pop(key, None)
        action = "update" if before else "restore" if was_deleted else "create"
        table.rows[key] = row
        table.tags.setdefault(key, []).append(tag)
        self._record(table, action, before, row)
        if was_deleted:
            table.gone.remove(key)

    def remove(self, plan: Plan, key: int) -> None:
        """The row is gone, and no other gets its id."""
        table = self.tables[plan.path]
        table.deleted[key] = table.rows.pop(key)
        table.gone.append(key)
        self._record(table, "delete", table.deleted[key], None)

    def _record(self, table: Table, action: str, before: Row | None, after: Row | None) -> None:
        entry = {"action": action, "by": self.accounts[self.acting], "before": before, "after": after}
        table.history.setdefault((before or after or {})["id"], []).append(entry)
