"""The base of the machine's parts: counted steps, requests, and comparison of responses with the model.

A part is a class of rules; `Machine` in `test_machine` combines them. For a new operation, derive a class from `RuleSet`,
write its rules with `step`, and add it there.
"""

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from httpx2 import Response
from hypothesis.stateful import RuleBasedStateMachine, rule
from hypothesis.strategies import SearchStrategy
from starlette.testclient import TestClient

from tests.contract.problems import problem
from tests.stateful.model import ADMIN, MISSING_ID, NOBODY, Model, Refused, Row
from tests.stateful.strategies import Drawn, Pick
from tests.stateful.values import PLANS, Plan

Headers = Mapping[str, str]
Step = Callable[..., None]


class StatefulApplication:
    """One application on one database, its accounts, and the number of steps that were taken on it."""

    def __init__(self, client: TestClient, callers: Mapping[str, Headers], empty: Callable[[], None]) -> None:
        self.client = client
        self.callers = {NOBODY: {}, **callers}
        self.empty = empty
        self.steps: dict[str, int] = {}
        self.answers: dict[str, int] = {}
        self._numbers = 0
        self.accounts = {name: self._account(headers) for name, headers in callers.items()}

    def next_number(self) -> int:
        """A number that was not given before."""
        self._numbers += 1
        return self._numbers

    def _account(self, headers: Headers) -> int:
        return int(self.client.get("/api/v1/users/me", headers=headers).json()["id"])


def step(**drawn: SearchStrategy[Any]) -> Callable[[Step], Any]:
    """A rule that counts once it is done."""

    def decorate(function: Step) -> Any:
        @functools.wraps(function)
        def counted(self: "RuleSet", **values: Any) -> None:
            self.agrees = False
            function(self, **values)
            self.agrees = True
            self.ground.steps[function.__name__] = self.ground.steps.get(function.__name__, 0) + 1

        make: Any = rule  # its overloads know no strategies by name
        return make(**drawn)(counted)

    return decorate


class RuleSet(RuleBasedStateMachine):
    """Beginning, end and the means of every rule."""

    def __init__(self, ground: StatefulApplication) -> None:
        super().__init__()
        self.ground = ground
        self.model = Model(ground.accounts)
        self.agrees = True
        ground.empty()

    def teardown(self) -> None:
        """Where every step agreed, an administrator finds in the lists what the model has."""
        for plan in PLANS.values() if self.agrees else ():
            expected = self.model.visible(plan, ADMIN)
            for skipped in range(0, len(expected) + 1, 100):
                page = self.send("GET", plan, caller=ADMIN, params={"limit": "100", "skip": str(skipped)}).json()
                assert page["total"] == len(expected)
                assert page["items"] == expected[skipped : skipped + 100]

    # -- requests ----------------------------------------------------------------------------------------------------

    def send(self, method: str, plan: Plan, tail: str = "", /, *, caller: str, **options: Any) -> Response:
        """The answer to one request."""
        self.model.acting = caller
        headers = {**self.ground.callers[caller], **options.pop("headers", {})}
        answer = self.ground.client.request(method, f"/api/v1/{plan.path}{tail}", headers=headers, **options)
        kind = f"{method} {re.sub('[0-9]+', '{id}', tail)} {answer.status_code}"
        self.ground.answers[kind] = self.ground.answers.get(kind, 0) + 1
        return answer

    def expect(self, answer: Response, status: int, foretell: Callable[[], Any]) -> Any:
        """What the model foretells; None where it foretells an error, which the answer then is."""
        try:
            foretold = foretell()
        except Refused as refused:
            self.check_refusal(answer, refused)
            return None
        assert answer.status_code == status, f"foretold {status}: {answer.status_code} {answer.text}"
        return foretold

    def check_refusal(self, answer: Response, refused: Refused) -> None:
        """The answer is this error, said of this element."""
        told = _problem(answer, refused.status)
        assert told["code"] in refused.codes, (told, refused.codes)
        if refused.elements is not None:
            place = told["errors"][0]["loc"]
            start = ["query", "ids"] if answer.request.method == "DELETE" else ["body"]
            assert place[: len(start)] == start, told
            assert place[len(start)] in refused.elements, (told, refused.elements)

    # -- rows --------------------------------------------------------------------------------------------------------

    def pick(self, path: str, caller: str, number: int) -> int:
        """The id that a pick means.

        Mostly of a row of the caller's, else of any, or of one that is gone or never was.
        """
        table, plan = self.model.tables[path], PLANS[path]
        own = [key for key, row in sorted(table.rows.items()) if self.model.owns(plan, caller, row)]
        if own and number % 4:
            return own[number // 4 % len(own)]
        keys = [*sorted(table.rows), *table.gone[-1:], MISSING_ID]
        return keys[number // 4 % len(keys)]

    def pick_many(self, path: str, caller: str, numbers: Sequence[int], *, again: bool) -> list[int]:
        """The ids that several picks mean, each once, or some `again`."""
        keys = [self.pick(path, caller, number) for number in numbers]
        return keys if again else list(dict.fromkeys(keys))

    def resolve(self, caller: str, drawn: Drawn) -> Row:
        """A body as it is sent."""
        found = dict(drawn.members)
        for name, value in drawn.members.items():
            if isinstance(value, Pick):
                found[name] = self.pick(str(drawn.plan.members[name].target), caller, value.number)
        return found

    def check_new(self, plan: Plan, caller: str, values: Row, row: Row) -> None:
        """A row as it was made: the values, the caller as owner, a new id, and timestamps."""
        table = self.model.tables[plan.path]
        assert row["id"] not in (*table.rows, *table.gone)
        assert row["created_at"] == row["updated_at"]
        assert row["created_at"].endswith("Z")
        server = {name: row[name] for name in ("id", "created_at", "updated_at")}
        assert row == {**values, **server, plan.owner: self.model.accounts[caller]}

    def check_changed(self, before: Row, values: Row, row: Row) -> None:
        """A row as it was changed: the members that were sent, and a later `updated_at`."""
        assert row == {**before, **values, "updated_at": row["updated_at"]}
        assert datetime.fromisoformat(row["updated_at"]) > datetime.fromisoformat(before["updated_at"])

    def learn_tag(self, plan: Plan, key: int, answer: Response) -> None:
        """An answer with a row carries its tag: the one that is known, or one that the row has never had."""
        tags, tag = self.model.tables[plan.path].tags[key], answer.headers["etag"]
        assert tag not in tags[:-1]
        assert tags[-1] in (None, tag)
        tags[-1] = tag


def _problem(answer: Response, status: int) -> dict[str, Any]:
    if status == 422:
        return problem(answer, status)
    assert answer.status_code == status, f"foretold {status}: {answer.status_code} {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    told: dict[str, Any] = answer.json()
    assert told["status"] == status
    return told
