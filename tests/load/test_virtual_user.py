"""How a virtual user handles responses that our own entities do not give, with an API of two collections in memory."""

import itertools
import json
from typing import Any

import pytest

from rowhouse.load.accounts import Account, Request, Response, UnexpectedResponseError
from rowhouse.load.bodies import UnsupportedSchemaError
from rowhouse.load.dry_run import dry_run
from rowhouse.load.fill import fill
from rowhouse.load.operations import Api, UncallableOperationError
from rowhouse.load.profile import Profile
from rowhouse.load.virtual_user import ADMIN, ANONYMOUS, ConflictError, Learned, VirtualUser

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


def test_elements_of_a_batch_with_a_unique_pair_refer_to_new_rows() -> None:
    """The elements have one number, so a pair of a reference and a number is unique only by the reference."""
    members = {"thing_id": {"type": "integer"}, "place": {"type": "integer"}}
    line = {"type": "object", "properties": members, "required": ["thing_id", "place"]}
    votes = {"post": operation("create_vote", success="201", body=line)}
    batch = {"post": operation("create_votes", success="201", body={"type": "array", "items": line})}
    votes = {"post": operation("create_vote", success="201", body=line)}
    pairs: list[tuple[int, int]] = []
    keys = itertools.count(1)

    def send(request: Request) -> Response:
        sent = json.loads(request.body or "{}")
        found = [(row["thing_id"], row["place"]) for row in (sent if isinstance(sent, list) else [sent]) if row]
        if len({*pairs, *found}) < len(pairs) + len(found):
            return problem("duplicate")
        pairs.extend(found)
        rows = [{"id": next(keys)} for _ in found]
        created = rows if isinstance(sent, list) else {"id": next(keys)}
        return Response(status=200 if request.method == "GET" else 201, content=json.dumps(created).encode())

    paths: dict[str, Any] = {**DOCUMENT["paths"], VOTES: votes, f"{VOTES}/batch": batch}
    del paths[f"{VOTES}/{{id}}"]
    api = Api({"paths": paths})
    assert dry_run(api, send=send, administrator=administrator()).unique_pairs == {VOTES}


def test_stored_rows_are_found_on_the_first_page() -> None:
    """Where no client creates rows. Further lists are of any page."""
    paged = [{"name": name, "in": "query", "schema": {"type": "integer"}} for name in ("page", "size")]
    prices = {"get": {**operation("list_prices", success="200"), "parameters": paged}}
    api = Api({"paths": {"/prices": prices, "/prices/{id}": {"get": operation("get_price", success="200")}}})
    pages: list[str] = []

    def send(request: Request) -> Response:
        if "page=" not in request.path:
            return Response(status=200, content=b"{}")
        pages.append(request.path.partition("page=")[2][0])
        items = [{"id": 7}] if pages[-1] == "1" else []
        return Response(status=200, content=json.dumps({"items": items}).encode())

    for _ in range(8):
        user = VirtualUser(api, Learned(), send=send, administrator=administrator())
        user.call(api.by_label["GET /prices/{id}"])
    assert pages == ["1"] * 8
    for _ in range(40):
        user.call(api.by_label["GET /prices"])
    assert set(pages) == {"1", "2", "3"}


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


def test_a_row_without_a_key_cannot_be_referred_to() -> None:
    """The message names the collection."""
    api = Api(DOCUMENT)
    learned = Learned(roles=dict.fromkeys(api.by_label, ANONYMOUS))
    empty = Response(status=201, content=b'{"title": "no key"}')
    user = VirtualUser(api, learned, send=lambda _request: empty, administrator=administrator())
    with pytest.raises(LookupError, match=f"a row of {THINGS} has no key in the response"):
        user.call(api.by_label["POST /votes"])


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


class BusyApi:
    """Accepts everything, except what `refused` names with the code of a 409 or the status of another response."""

    def __init__(self) -> None:
        self.refused: dict[str, Response] = {}
        self.sent: list[str] = []
        self._keys = itertools.count(1)

    def __call__(self, request: Request) -> Response:
        """Return the response to a request."""
        label = f"{request.method} {request.name}"
        self.sent.append(f"{request.method} {request.path.partition('?')[0]}")
        if label in self.refused:
            return self.refused[label]
        rows = [{"id": next(self._keys)} for _ in range(20)]
        body: Any = rows if request.path.endswith("/batch") else rows[0]
        if request.method == "GET" and request.path.partition("?")[0] == THINGS:
            body = {"items": rows}
        return Response(status=min(request.successes), content=json.dumps(body).encode())


def busy_user(busy: BusyApi, paths: dict[str, Any], **options: Any) -> VirtualUser:
    """Return a user of an API with these paths."""
    api = Api({"paths": paths})
    learned = Learned(roles=dict.fromkeys(api.by_label, ANONYMOUS))
    return VirtualUser(api, learned, send=busy, administrator=administrator(), **options)


def test_a_row_of_the_list_may_be_deleted_by_another_user() -> None:
    """Then the list is read again. In the dry run nobody else is there, so it is an error."""
    paths = {
        THINGS: {"get": operation("list_things", success="200")},
        f"{THINGS}/{{id}}": {"get": operation("get_thing", success="200")},
    }
    busy = BusyApi()
    busy.refused["GET /things/{id}"] = Response(status=404, content=b'{"code": "not_found"}')
    user = busy_user(busy, paths)
    get = Api({"paths": paths}).by_label["GET /things/{id}"]
    user.call(get)
    user.call(get)
    assert busy.sent.count(f"GET {THINGS}") == 2
    with pytest.raises(UnexpectedResponseError, match="404"):
        busy_user(busy, paths, is_alone=True).call(get)


def test_a_conflict_with_a_row_that_is_needed_ends_the_task() -> None:
    """Another client took the slot. The next task begins with another row."""
    paths = {
        THINGS: {"post": operation("create_thing", success="201")},
        f"{THINGS}/{{id}}": {"get": operation("get_thing", success="200"), "delete": operation("x", success="204")},
        f"{THINGS}/{{id}}/restore": {"post": operation("y", success="200")},
        f"{THINGS}/batch": {
            "post": operation("create_things", success="201", body={"type": "array", "items": {"type": "object"}}),
            "patch": operation("update_things", success="200", body={"type": "array", "items": {"type": "object"}}),
        },
    }
    operations = Api({"paths": paths}).by_label
    busy = BusyApi()
    user = busy_user(busy, paths)
    for refused, called in (
        ("POST /things", "GET /things/{id}"),
        ("DELETE /things/{id}", "POST /things/{id}/restore"),
        ("POST /things/batch", "PATCH /things/batch"),
    ):
        busy.refused = {refused: problem("overlap")}
        with pytest.raises(ConflictError, match=refused):
            user.call(operations[called])
    busy.refused = {}
    user.call(operations["GET /things/{id}"])
    busy.refused = {"POST /things/batch": problem("sold_out")}
    with pytest.raises(UnexpectedResponseError, match="sold_out"):
        user.call(operations["POST /things/batch"])


def test_tables_are_filled_as_far_as_they_can_be() -> None:
    """A batch that conflicts is left out, and a wrong response ends the filling."""
    paths = {
        THINGS: {"post": operation("create_thing", success="201")},
        f"{THINGS}/batch": {"post": operation("create_things", success="201", body={"type": "array"})},
    }
    api, busy = Api({"paths": paths}), BusyApi()
    learned = Learned(roles=dict.fromkeys(api.by_label, ANONYMOUS))
    fill(api, learned, send=busy, administrator=administrator(), rows=41)
    assert busy.sent == [f"POST {THINGS}/batch"] * 3
    busy.refused = {"POST /things/batch": problem("overlap")}
    fill(api, learned, send=busy, administrator=administrator(), rows=20)
    busy.refused = {"POST /things/batch": problem("sold_out")}
    with pytest.raises(UncallableOperationError, match="to fill the tables"):
        fill(api, learned, send=busy, administrator=administrator(), rows=20)


SIGN_UP = {
    "type": "object",
    "properties": {"role": {"const": "user"}},
}
ACCOUNTS = {
    "/api/v1/users": {"post": operation("sign_up", success="201", body=SIGN_UP)},
    "/api/v1/auth/login": {"post": operation("login", success="200")},
}


def test_a_user_signs_in_once_with_each_role_that_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An access token that expires is refreshed."""
    api, sent = Api({"paths": {**ACCOUNTS, THINGS: {"get": operation("list_things", success="200")}}}), list[str]()

    def send(request: Request) -> Response:
        sent.append(request.name)
        return Response(status=min(request.successes), content=json.dumps(TOKENS).encode())

    learned = Learned(roles={"GET /things": "user", "POST /auth/login": ANONYMOUS})
    user = VirtualUser(api, learned, send=send, administrator=administrator())
    user.sign_in()
    user.sign_in()
    administrator().headers(send)  # has signed up long ago
    assert sent.pop() == "/auth/login"
    assert sent == ["/users", "/auth/login"]
    monkeypatch.setattr("rowhouse.load.accounts.MARGIN_SECONDS", 1e6)
    user.call(api.by_label["GET /things"])
    assert sent[2:] == ["/auth/refresh", "/things"]


def test_without_a_sign_up_there_is_no_account_to_sign_in() -> None:
    paths = {"/api/v1/auth/login": ACCOUNTS["/api/v1/auth/login"]}
    with pytest.raises(LookupError, match="clients cannot sign up"):
        busy_user(BusyApi(), paths).call(Api({"paths": paths}).by_label["POST /auth/login"])


def test_a_row_that_begins_soon_is_created_for_the_operation() -> None:
    """A profile that names an operation whose rows nobody creates is an error."""
    paths: dict[str, Any] = {
        THINGS: {"post": operation("create_thing", success="201"), "get": operation("list_things", success="200")},
        f"{THINGS}/{{id}}": {"get": operation("get_thing", success="200")},
    }
    busy, profile = BusyApi(), Profile(starting_soon=frozenset({"GET /things/{id}"}))
    get = Api({"paths": paths}).by_label["GET /things/{id}"]
    user = busy_user(busy, paths, profile=profile)
    user.call(get)
    user.call(get)
    assert [line for line in busy.sent if line.startswith("POST")] == [f"POST {THINGS}"] * 2
    assert len(set(busy.sent)) == 3
    del paths[THINGS]["post"]
    with pytest.raises(LookupError, match="no operation creates"):
        busy_user(busy, paths, profile=profile).call(get)


def test_a_reference_is_to_a_row_of_the_list_if_nobody_can_create_one() -> None:
    """Without any row there is nothing to refer to. The slots begin again when all are used."""
    paths = {
        THINGS: {"get": operation("list_things", success="200")},
        f"{THINGS}/{{id}}": {"get": operation("get_thing", success="200")},
        VOTES: {"post": operation("create_vote", success="201", body=VOTE)},
    }
    busy, operations = BusyApi(), Api({"paths": paths}).by_label
    user = busy_user(busy, paths)
    user._slots = iter(())
    user.call(operations["POST /votes"])
    user.call(operations["GET /things/{id}"])
    user.call(operations["POST /votes"])
    assert busy.sent.count(f"GET {THINGS}") == 1
    busy.refused["GET /things"] = Response(status=200, content=b'{"items": []}')
    with pytest.raises(UnsupportedSchemaError, match="no row to refer to"):
        busy_user(busy, paths).call(operations["POST /votes"])


def test_a_second_row_that_is_refused_ends_the_dry_run() -> None:
    """Unless it is a duplicate of the first one."""
    answers = iter([Response(status=201, content=b'{"id": 1}'), problem("sold_out")])
    api = Api({"paths": {THINGS: {"post": operation("create_thing", success="201")}}})
    with pytest.raises(UncallableOperationError, match="sold_out"):
        dry_run(api, send=lambda _request: next(answers), administrator=administrator())


def test_rows_that_were_created_together_are_referred_to_one_by_one() -> None:
    """A vote for another thing each time takes one batch of things."""
    many = {"type": "array", "items": {"type": "object"}}
    paths = {
        THINGS: {"post": operation("create_thing", success="201")},
        f"{THINGS}/batch": {"post": operation("create_things", success="201", body=many)},
        f"{THINGS}/{{id}}": {"get": operation("get_thing", success="200")},
        VOTES: {"post": operation("create_vote", success="201", body=VOTE)},
    }
    busy, api = BusyApi(), Api({"paths": paths})
    learned = Learned(roles=dict.fromkeys(api.by_label, ANONYMOUS), unique_pairs={VOTES})
    user = VirtualUser(api, learned, send=busy, administrator=administrator())
    for _ in range(3):
        user.call(api.by_label["POST /votes"])
    assert busy.sent == [f"POST {THINGS}/batch", *[f"POST {VOTES}"] * 3]


def test_what_a_profile_puts_before_an_operation_is_called_before_it() -> None:
    """In whichever role. An answer that is not about rights ends the search for a role."""
    paths = {
        **ACCOUNTS,
        THINGS: {"post": operation("create_thing", success="201")},
        VOTES: {"post": operation("vote", success="201")},
    }
    busy, api = BusyApi(), Api({"paths": paths})
    profile = Profile(steps_before={"POST /votes": ("POST /things",)})
    user = VirtualUser(api, Learned(), send=busy, administrator=administrator(), profile=profile)
    user.call(api.by_label["POST /votes"])
    assert busy.sent == [f"POST {THINGS}", f"POST {VOTES}"]
    busy.refused["POST /votes"] = problem("sold_out")
    other = VirtualUser(api, Learned(), send=busy, administrator=administrator())
    with pytest.raises(UnexpectedResponseError, match="sold_out"):
        other.call(api.by_label["POST /votes"])
    assert busy.sent.count(f"POST {VOTES}") == 2


def test_a_table_that_cannot_be_filled_is_named() -> None:
    """A read-only entity without a row cannot be loaded; the message says where its rows come from."""
    gets = {THINGS: "list_things", f"{THINGS}/{{id}}": "get_thing"}
    api = Api({"paths": {path: {"get": operation(name, success="200")} for path, name in gets.items()}})

    def send(_request: Request) -> Response:
        return Response(status=200, content=b'{"items": []}')

    user = VirtualUser(api, Learned(), send=send, administrator=administrator())
    with pytest.raises(LookupError, match="store some rows in a migration"):
        user.call(api.by_label["GET /things/{id}"])
