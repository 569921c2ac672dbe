"""Rules for one row: create, read, change and delete, with entity tags and idempotency keys, as any caller."""

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition

from tests.stateful.machine import RuleSet, StatefulApplication, step
from tests.stateful.model import NOBODY, Refused, Row
from tests.stateful.strategies import CALLERS, EVERY_PLAN, PICKS, SELDOM, SIGNED_IN, Drawn, bodies
from tests.stateful.values import Plan

TAGS = st.sampled_from((None, None, None, "fresh", "stale", "*", "weak", "among"))


@dataclass(frozen=True)
class Kept:
    """A request that was answered under a key."""

    plan: Plan
    caller: str
    tail: str
    key: str
    body: bytes
    answer: bytes
    located: str | None


class RowRules(RuleSet):
    """One row at a time."""

    def __init__(self, ground: StatefulApplication) -> None:
        super().__init__(ground)
        self.kept: list[Kept] = []

    @step(caller=CALLERS, drawn=bodies(whole=True), keyed=SELDOM)
    def create(self, caller: str, drawn: Drawn, keyed: bool) -> None:  # noqa: FBT001  hypothesis passes by keyword
        """A new row, or none where the body or the caller is wrong; sometimes under an `Idempotency-Key`."""
        plan, sent = drawn.plan, self.resolve(caller, drawn)
        key = f"key-{self.ground.next_number()}" if keyed else None
        self.post_one(plan, caller, json.dumps(sent).encode(), sent, key=key)

    def post_one(self, plan: Plan, caller: str, content: bytes, sent: Row, *, key: str | None) -> None:
        """Send a body that was not sent before, and keep what is answered under a key."""
        headers = {"content-type": "application/json"} | ({} if key is None else {"idempotency-key": key})
        answer = self.send("POST", plan, caller=caller, content=content, headers=headers)

        def foretell() -> Row:
            self.model.admit_writer(caller)
            values = self.model.shown(plan, sent, whole=True)
            self.model.check_conflicts(plan, caller, values)
            return values

        values = self.expect(answer, 201, foretell)
        if values is None:
            return
        row = answer.json()
        self.check_new(plan, caller, values, row)
        assert answer.headers["location"] == f"/api/v1/{plan.path}/{row['id']}"
        assert "idempotent-replayed" not in answer.headers
        self.model.store(plan, row, answer.headers["etag"])
        if key is not None:
            self.kept.append(Kept(plan, caller, "", key, content, answer.content, answer.headers["location"]))

    @precondition(lambda self: self.kept)
    @step(which=PICKS, spoilt=SELDOM)
    def repeat(self, which: int, spoilt: bool) -> None:  # noqa: FBT001  hypothesis passes by keyword
        """The same key and body again give the same answer and no row, even where that row is gone.

        Another body is 422.
        """
        kept = self.kept[which % len(self.kept)]
        headers = {"content-type": "application/json", "idempotency-key": kept.key}
        content = kept.body + b" " if spoilt else kept.body
        answer = self.send("POST", kept.plan, kept.tail, caller=kept.caller, content=content, headers=headers)
        if spoilt:
            self.check_refusal(answer, Refused(422, "invalid_input"))
            return
        assert (answer.status_code, answer.content) == (201, kept.answer)
        assert answer.headers["idempotent-replayed"] == "true"
        assert answer.headers.get("location") == kept.located

    @precondition(lambda self: any(kept.tail == "" for kept in self.kept))
    @step(which=PICKS, caller=SIGNED_IN)
    def repeat_as_another(self, which: int, caller: str) -> None:
        """A key is its caller's: another's request under it is a request of its own."""
        found = [kept for kept in self.kept if kept.tail == ""]
        kept = found[which % len(found)]
        if any((kept.key, caller) == (other.key, other.caller) for other in self.kept):
            caller = NOBODY
        self.post_one(kept.plan, caller, kept.body, json.loads(kept.body), key=kept.key)

    @step(caller=CALLERS, plan=EVERY_PLAN, which=PICKS, tag=TAGS)
    def read(self, caller: str, plan: Plan, which: int, tag: str | None) -> None:
        """The row as it is, or 304 for who has it."""
        key = self.pick(plan.path, caller, which)
        headers, known = self.conditions("if-none-match", plan, key, tag)
        answer = self.send("GET", plan, f"/{key}", caller=caller, headers=headers)
        # If-None-Match compares weakly, so a weak tag is as good (RFC 9110 §13.1.2).
        unchanged = tag == "*" or (known and tag in ("fresh", "weak", "among"))

        def foretell() -> Row:
            self.model.admit_reader(plan, caller)
            return self.model.get(plan, caller, key)

        row = self.expect(answer, 304 if unchanged else 200, foretell)
        if row is not None:
            self.learn_tag(plan, key, answer)
            assert answer.content == b"" if unchanged else answer.json() == row

    @step(caller=CALLERS, drawn=bodies(whole=False), which=PICKS, tag=TAGS, method=st.sampled_from(("PATCH", "PUT")))
    def change(self, caller: str, drawn: Drawn, which: int, tag: str | None, method: str) -> None:
        """The members that are sent change and no others; nothing does where anything is wrong."""
        plan, sent, key = drawn.plan, self.resolve(caller, drawn), self.pick(drawn.plan.path, caller, which)
        headers, known = self.conditions("if-match", plan, key, tag)
        answer = self.send(method, plan, f"/{key}", caller=caller, json=sent, headers=headers)

        def foretell() -> Row:
            self.model.admit_writer(caller)
            values = self.model.shown(plan, sent, whole=False)
            if not values:
                raise Refused(400, "empty_update")
            self.model.changeable(plan, caller, key)
            self.check_version(tag, known=known)
            self.model.check_conflicts(plan, caller, values, key)
            return values

        values = self.expect(answer, 200, foretell)
        if values is not None:
            self.check_changed(self.model.tables[plan.path].rows[key], values, answer.json())
            self.model.store(plan, answer.json(), None)
            self.learn_tag(plan, key, answer)

    @step(caller=CALLERS, plan=EVERY_PLAN, which=PICKS, tag=TAGS)
    def delete(self, caller: str, plan: Plan, which: int, tag: str | None) -> None:
        """The row is gone, unless another refers to it."""
        key = self.pick(plan.path, caller, which)
        headers, known = self.conditions("if-match", plan, key, tag)
        answer = self.send("DELETE", plan, f"/{key}", caller=caller, headers=headers)

        def foretell() -> bool:
            self.model.admit_writer(caller)
            self.model.changeable(plan, caller, key)
            self.check_version(tag, known=known)
            if self.model.is_held(plan, key, ()):
                raise Refused(409, "still_referenced")
            return True

        if self.expect(answer, 204, foretell):
            assert answer.content == b""
            self.model.remove(plan, key)

    def conditions(self, header: str, plan: Plan, key: int, tag: str | None) -> tuple[dict[str, str], bool]:
        """The header that a drawn word stands for, and whether the present tag is in it."""
        tags = self.model.tables[plan.path].tags.get(key, [None])
        present, stale = tags[-1], '"stale"' if len(tags) == 1 or tags[-2] is None else tags[-2]
        written: dict[Any, str | None] = {
            "*": "*",
            "stale": stale,
            "fresh": present,
            "weak": present and f"W/{present}",
            "among": present and f"{stale}, {present}",
        }
        value = written.get(tag)
        if tag is None or value is None:
            return ({header: '"unknown"'}, False) if tag else ({}, False)
        return {header: value}, present is not None and tag in ("fresh", "weak", "among")

    def check_version(self, tag: str | None, *, known: bool) -> None:
        """`If-Match` compares strongly: a weak tag never matches (RFC 9110 §13.1.1)."""
        if tag not in (None, "*") and not (known and tag != "weak"):
            raise Refused(412, "stale")
