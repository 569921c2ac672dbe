"""How a virtual user handles responses that our own entities do not give, with an API of two collections in memory."""

import itertools
import json
from typing import Any

import pytest

from perf.load.accounts import Account, Request, Response, UnexpectedResponseError
from perf.load.dry_run import dry_run
from perf.load.operations import Api
from perf.load.profile import Profile
from perf.load.virtual_user import ADMIN, ANONYMOUS, Learned, VirtualUser

THINGS, VOTES = "/api/v1/things", "/api/v1/votes"
VOTE = {"type": "object", "properties": {"thing_id": {"type": "integer"}}, "required": ["thing_id"]}
TOKENS = {"access_token": "a", "refresh_token": "r", "expires_in": 900}


def operation(name: str, *, success: str, body: Any = None) -> dict[str, Any]:
    """Return an operation of the document."""
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
    """Accepts one vote per thing. A change of a vote gets the response in `change`."""

    def __init__(self) -> None:
        self.change = Response(status=200, content=b"{}")
        self.votes: list[int] = []
        self.changed: list[str] = []
        self._keys = itertools.count(1)

    def __call__(self, request: Request) -> Response:
        """Return the response to a request."""
        if request.path.endswith("/login"):
            return Response(status=200, content=json.dumps(TOKENS).encode())
        if request.method == "PATCH":
            self.changed.append(request.path)
            return self.change
        if request.path == VOTES:
            thing = json.loads(request.body or "")["thing_id"]
            if thing in self.votes:
                return problem("duplicate")
            self.votes.append(thing)
        status = 200 if request.method == "GET" else 201
        return Response(status=status, content=json.dumps({"id": next(self._keys)}).encode())


def problem(code: str) -> Response:
    """Return a conflict with this code."""
    return Response(status=409, content=json.dumps({"code": code}).encode())


def administrator() -> Account:
    """Return an account."""
    return Account(email="admin@example.com", password="of-no-consequence")


@pytest.fixture
def voting() -> VotingApi:
    """An API without votes."""
    return VotingApi()


@pytest.fixture
def user(voting: VotingApi) -> VirtualUser:
    """A user that may call everything anonymously, and has voted."""
    return voter(voting)


def voter(voting: VotingApi, profile: Profile | None = None) -> VirtualUser:
    """Return a user that may call everything anonymously, and has voted."""
    api = Api(DOCUMENT)
    learned = Learned(roles=dict.fromkeys(api.by_label, ANONYMOUS), unique_pairs={VOTES})
    user = VirtualUser(api, learned, send=voting, administrator=administrator(), profile=profile)
    user.call(api.by_label["POST /votes"])
    return user


CHANGE = Api(DOCUMENT).by_label["PATCH /votes/{id}"]


def test_a_row_with_a_unique_reference_refers_to_a_new_row(voting: VotingApi) -> None:
    """The dry run finds the collection. After it no vote is rejected."""
    api = Api(DOCUMENT)
    learned = dry_run(api, send=voting, administrator=administrator())
    assert learned.unique_pairs == {VOTES}
    before = len(voting.votes)
    user = VirtualUser(api, learned, send=voting, administrator=administrator())
    for _ in range(5):
        user.call(api.by_label["POST /votes"])
    assert len(voting.votes) == len(set(voting.votes)) == before + 5


def test_a_conflict_is_unexpected_for_a_new_row(voting: VotingApi) -> None:
    """The profile expects it for an old row only."""
    user = voter(voting, Profile(expected_conflicts={"booking_closed": 60}))
    voting.change = problem("booking_closed")
    with pytest.raises(UnexpectedResponseError, match="booking_closed"):
        user.call(CHANGE)


def test_an_expected_conflict_is_valid_for_an_old_row_which_is_not_used_again(voting: VotingApi) -> None:
    """A conflict with another code is not."""
    user = voter(voting, Profile(expected_conflicts={"booking_closed": -1}))
    voting.change = problem("booking_closed")
    user.call(CHANGE)
    user.call(CHANGE)
    assert len(set(voting.changed)) == 2
    voting.change = problem("slot_taken")
    with pytest.raises(UnexpectedResponseError, match="slot_taken"):
        user.call(CHANGE)


@pytest.mark.parametrize("status", [0, 404, 422, 500, 503])
def test_any_other_response_is_unexpected(voting: VotingApi, user: VirtualUser, status: int) -> None:
    """With a known role no other role is tried."""
    voting.change = Response(status=status, content=b"")
    with pytest.raises(UnexpectedResponseError, match=str(status or "no response")):
        user.call(CHANGE)
    assert len(voting.changed) == 1


def test_a_role_is_learned_from_a_valid_response(voting: VotingApi) -> None:
    """No role is learned if every role gets an unexpected response."""
    api, learned = Api(DOCUMENT), Learned()
    user = VirtualUser(api, learned, send=voting, administrator=administrator())
    voting.change = Response(status=404, content=b"")
    with pytest.raises(UnexpectedResponseError):
        user.call(CHANGE)
    assert set(learned.roles) == {"POST /things", "POST /votes"}
    assert ADMIN not in learned.roles.values()


def test_a_row_is_deleted_before_it_is_restored() -> None:
    """The restored row is used again."""
    item, restored = operation("x", success="204"), operation("y", success="200")
    paths = {
        THINGS: {"post": operation("create_thing", success="201")},
        f"{THINGS}/{{id}}": {"delete": item},
        f"{THINGS}/{{id}}/restore": {"post": restored},
    }
    sent: list[str] = []

    def send(request: Request) -> Response:
        sent.append(f"{request.method} {request.name}")
        status = min(request.successes)
        return Response(status=status, content=b'{"id": 7}')

    api = Api({"paths": paths})
    learned = Learned(roles=dict.fromkeys(api.by_label, ANONYMOUS))
    user = VirtualUser(api, learned, send=send, administrator=administrator())
    for _ in range(2):
        user.call(api.by_label["POST /things/{id}/restore"])
    assert sent == ["POST /things", *["DELETE /things/{id}", "POST /things/{id}/restore"] * 2]


class BatchApi:
    """A collection of pairs that a batch creates. A second pair of one thing is the first one, as in a cart."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str]] = []
        self.sizes: dict[str, list[int]] = {}
        self._keys = itertools.count(1)
        self._pairs: dict[int, int] = {}

    def __call__(self, request: Request) -> Response:
        """Return the response to a request, and count the elements of a batch."""
        self.sent.append((request.method, request.path))
        if request.method == "DELETE":
            ids = request.path.partition("?ids=")[2].split("%2C")
            return self._answer(request, len(set(ids)), None)
        rows = json.loads(request.body or "{}")
        if request.method == "PATCH":
            return self._answer(request, len({row["id"] for row in rows}), rows)
        if request.path.startswith(THINGS):
            return self._answer(request, 1, {"id": next(self._keys)})
        pairs = [{"id": self._pairs.setdefault(row["thing_id"], next(self._keys))} for row in rows]
        return self._answer(request, len(rows), pairs)

    def _answer(self, request: Request, size: int, body: Any) -> Response:
        self.sizes.setdefault(f"{request.method} {request.name}", []).append(size)
        return Response(status=min(request.successes), content=json.dumps(body).encode())


def test_a_batch_has_twenty_rows_of_the_user() -> None:
    """A batch creates them, each with another reference. A deleted row is not used again."""
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
    learned = Learned(roles=dict.fromkeys(api.by_label, ANONYMOUS))
    user = VirtualUser(api, learned, send=send, administrator=administrator())
    for label in ("PATCH /votes/batch", "DELETE /votes/batch", "PATCH /votes/batch", "DELETE /votes/batch"):
        user.call(api.by_label[label])
    assert learned.merged == {VOTES}
    assert send.sizes["PATCH /votes/batch"] == send.sizes["DELETE /votes/batch"] == [20, 20]
    assert set(send.sizes["POST /votes/batch"]) == {20}
    gone = [path for method, path in send.sent if method == "DELETE"]
    assert len(set(gone)) == 2
    assert not set(gone[0].partition("=")[2].split("%2C")) & set(gone[1].partition("=")[2].split("%2C"))


def test_a_batch_of_rows_that_no_batch_can_create_has_one_element() -> None:
    """Creating twenty accounts would take twenty password hashes."""
    ids = {"name": "ids", "in": "query", "required": True, "schema": {"type": "array"}}
    paths = {
        THINGS: {"post": operation("create_thing", success="201")},
        f"{THINGS}/batch": {"delete": {**operation("delete_things", success="204"), "parameters": [ids]}},
    }
    api, send = Api({"paths": paths}), BatchApi()
    user = VirtualUser(
        api, Learned(roles=dict.fromkeys(api.by_label, ANONYMOUS)), send=send, administrator=administrator()
    )
    user.call(api.by_label["DELETE /things/batch"])
    assert send.sent == [("POST", THINGS), ("DELETE", f"{THINGS}/batch?ids=1")]
    assert api.elements_of(api.by_label["DELETE /things/batch"]) == 1
