"""What a visitor makes of answers that our own entities do not give, from an API of two collections in memory."""

import itertools
import json
from typing import Any

import pytest

from perf.load import virtual_user as module
from perf.load.accounts import Account, Answer, RefusedError, Request
from perf.load.operations import Api
from perf.load.dry_run import rehearse
from perf.load.virtual_user import ADMIN, NOBODY, Plan, Visitor

THINGS, VOTES = "/api/v1/things", "/api/v1/votes"
VOTE = {"type": "object", "properties": {"thing_id": {"type": "integer"}}, "required": ["thing_id"]}
TOKENS = {"access_token": "a", "refresh_token": "r", "expires_in": 900}


def operation(name: str, *, success: str, body: Any = None) -> dict[str, Any]:
    """An operation of the document."""
    content = {"requestBody": {"content": {"application/json": {"schema": body}}}} if body else {}
    return {"operationId": name, "responses": {success: {}}, **content}


DOCUMENT = {
    "paths": {
        THINGS: {"post": operation("create_thing", success="201")},
        f"{THINGS}/{{id}}": {"get": operation("get_thing", success="200")},
        VOTES: {"post": operation("create_vote", success="201", body=VOTE)},
        f"{VOTES}/{{id}}": {"patch": operation("update_vote", success="200", body=VOTE)},
    }
}


class VotingApi:
    """Takes one vote a thing; changes of votes get the answer that the test puts in."""

    def __init__(self) -> None:
        self.change = Answer(status=200, content=b"{}")
        self.votes: list[int] = []
        self.changed: list[str] = []
        self._keys = itertools.count(1)

    def __call__(self, request: Request) -> Answer:
        """Answer a request."""
        if request.path.endswith("/login"):
            return Answer(status=200, content=json.dumps(TOKENS).encode())
        if request.method == "PATCH":
            self.changed.append(request.path)
            return self.change
        if request.path == VOTES:
            thing = json.loads(request.body or "")["thing_id"]
            if thing in self.votes:
                return problem("duplicate")
            self.votes.append(thing)
        status = 200 if request.method == "GET" else 201
        return Answer(status=status, content=json.dumps({"id": next(self._keys)}).encode())


def problem(code: str) -> Answer:
    """A conflict."""
    return Answer(status=409, content=json.dumps({"code": code}).encode())


def administrator() -> Account:
    """An account that exists."""
    return Account(email="admin@example.com", password="of-no-consequence")


@pytest.fixture
def voting() -> VotingApi:
    """The API."""
    return VotingApi()


@pytest.fixture
def guest(voting: VotingApi) -> Visitor:
    """A visitor who may do everything and has voted."""
    api = Api(DOCUMENT)
    plan = Plan(roles=dict.fromkeys(api.by_label, NOBODY), paired={VOTES})
    made = Visitor(api, plan, send=voting, administrator=administrator())
    made.call(api.by_label["POST /votes"])
    return made


CHANGE = Api(DOCUMENT).by_label["PATCH /votes/{id}"]


def test_a_pair_that_must_be_unique_gets_a_new_row_to_refer_to(voting: VotingApi) -> None:
    """The rehearsal finds out; from then on no vote is refused."""
    api = Api(DOCUMENT)
    plan = rehearse(api, send=voting, administrator=administrator())
    assert plan.paired == {VOTES}
    before = len(voting.votes)
    visitor = Visitor(api, plan, send=voting, administrator=administrator())
    for _ in range(5):
        visitor.call(api.by_label["POST /votes"])
    assert len(voting.votes) == len(set(voting.votes)) == before + 5


def test_a_conflict_is_wrong_for_a_row_that_is_new(voting: VotingApi, guest: Visitor) -> None:
    """Also the conflict that is right for an old one."""
    voting.change = problem("booking_closed")
    with pytest.raises(RefusedError, match="booking_closed"):
        guest.call(CHANGE)


def test_a_conflict_is_right_for_a_row_that_is_old_and_the_row_is_not_used_again(
    voting: VotingApi, guest: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only with the code that is right."""
    monkeypatch.setattr(module, "RIGHT_CONFLICTS", {"booking_closed": -1})
    voting.change = problem("booking_closed")
    guest.call(CHANGE)
    guest.call(CHANGE)
    assert len(set(voting.changed)) == 2
    voting.change = problem("slot_taken")
    with pytest.raises(RefusedError, match="slot_taken"):
        guest.call(CHANGE)


@pytest.mark.parametrize("status", [0, 404, 422, 500, 503])
def test_any_other_answer_is_wrong(voting: VotingApi, guest: Visitor, status: int) -> None:
    """In the role that is known to do, nothing is tried in another."""
    voting.change = Answer(status=status, content=b"")
    with pytest.raises(RefusedError, match=str(status or "no answer")):
        guest.call(CHANGE)
    assert len(voting.changed) == 1


def test_a_role_is_learnt_once(voting: VotingApi) -> None:
    """And an answer that no role gets right is not learnt."""
    api, plan = Api(DOCUMENT), Plan()
    visitor = Visitor(api, plan, send=voting, administrator=administrator())
    voting.change = Answer(status=404, content=b"")
    with pytest.raises(RefusedError):
        visitor.call(CHANGE)
    assert set(plan.roles) == {"POST /things", "POST /votes"}
    assert ADMIN not in plan.roles.values()


def test_a_row_is_deleted_before_it_is_restored() -> None:
    """And is a row like any other afterwards."""
    item, restored = operation("x", success="204"), operation("y", success="200")
    paths = {
        THINGS: {"post": operation("create_thing", success="201")},
        f"{THINGS}/{{id}}": {"delete": item},
        f"{THINGS}/{{id}}/restore": {"post": restored},
    }
    sent: list[str] = []

    def send(request: Request) -> Answer:
        sent.append(f"{request.method} {request.name}")
        status = min(request.successes)
        return Answer(status=status, content=b'{"id": 7}')

    api = Api({"paths": paths})
    plan = Plan(roles=dict.fromkeys(api.by_label, NOBODY))
    visitor = Visitor(api, plan, send=send, administrator=administrator())
    for _ in range(2):
        visitor.call(api.by_label["POST /things/{id}/restore"])
    assert sent == ["POST /things", *["DELETE /things/{id}", "POST /things/{id}/restore"] * 2]


class BatchApi:
    """A collection of pairs, made by the batch: a second pair of one thing is the first one, as in a cart."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.sizes: dict[str, list[int]] = {}
        self._keys = itertools.count(1)
        self._pairs: dict[int, int] = {}

    def __call__(self, request: Request) -> Answer:
        """Answer a request, and count the elements of a batch."""
        self.sent.append((request.method, request.path))
        if request.method == "DELETE":
            ids = request.path.partition("?ids=")[2].split("%2C")
            return self._answer(request, len(set(ids)), None)
        rows = json.loads(request.body or "{}")
        if request.method == "PATCH":
            return self._answer(request, len({row["id"] for row in rows}), rows)
        if request.path.startswith(THINGS):
            return self._answer(request, 1, {"id": next(self._keys)})
        made = [{"id": self._pairs.setdefault(row["thing_id"], next(self._keys))} for row in rows]
        return self._answer(request, len(rows), made)

    def _answer(self, request: Request, size: int, body: Any) -> Answer:
        self.sizes.setdefault(f"{request.method} {request.name}", []).append(size)
        return Answer(status=min(request.successes), content=json.dumps(body).encode())


def test_a_batch_has_twenty_elements_of_rows_of_its_own() -> None:
    """Made by the batch too, where one of a pair would be another only in name; a deleted row is not used again."""
    many = {"type": "array", "items": VOTE}
    ids = {"name": "ids", "in": "query", "required": True, "schema": {"type": "array"}}
    changed = {"type": "array", "items": {"type": "object", "properties": {"id": {"type": "integer"}}}}
    paths = {
        THINGS: {"post": operation("create_thing", success="201")},
        f"{THINGS}/{{id}}": {"get": operation("get_thing", success="200")},
        VOTES: {"post": operation("create_vote", success="201", body=VOTE)},
        f"{VOTES}/batch": {
            "post": operation("create_votes", success="201", body=many),
            "patch": operation("update_votes", success="200", body=changed),
            "delete": {**operation("delete_votes", success="204"), "parameters": [ids]},
        },
    }
    api, send = Api({"paths": paths}), BatchApi()
    plan = Plan(roles=dict.fromkeys(api.by_label, NOBODY))
    visitor = Visitor(api, plan, send=send, administrator=administrator())
    for label in ("PATCH /votes/batch", "DELETE /votes/batch", "PATCH /votes/batch", "DELETE /votes/batch"):
        visitor.call(api.by_label[label])
    assert plan.merged == {VOTES}
    assert send.sizes["PATCH /votes/batch"] == send.sizes["DELETE /votes/batch"] == [20, 20]
    assert set(send.sizes["POST /votes/batch"]) == {20}
    gone = [path for method, path in send.sent if method == "DELETE"]
    assert len(set(gone)) == 2
    assert not set(gone[0].partition("=")[2].split("%2C")) & set(gone[1].partition("=")[2].split("%2C"))


def test_a_batch_of_rows_that_are_made_singly_has_one_element() -> None:
    """Twenty accounts would be twenty hashes: what is measured says so."""
    ids = {"name": "ids", "in": "query", "required": True, "schema": {"type": "array"}}
    paths = {
        THINGS: {"post": operation("create_thing", success="201")},
        f"{THINGS}/batch": {"delete": {**operation("delete_things", success="204"), "parameters": [ids]}},
    }
    api, send = Api({"paths": paths}), BatchApi()
    visitor = Visitor(api, Plan(roles=dict.fromkeys(api.by_label, NOBODY)), send=send, administrator=administrator())
    visitor.call(api.by_label["DELETE /things/batch"])
    assert send.sent == [("POST", THINGS), ("DELETE", f"{THINGS}/batch?ids=1")]
    assert api.elements_of(api.by_label["DELETE /things/batch"]) == 1
