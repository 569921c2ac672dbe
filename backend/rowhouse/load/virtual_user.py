"""One user of the API: calls any operation with a valid request, on rows that it created itself.

It has an account of each role and uses the one with the fewest rights that an operation accepts. It refers to rows of
its own and uses time slots of its own, so users, processes and earlier runs do not conflict. It knows no entity and no
load tool.
"""

import itertools
import json
import random
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from rowhouse.load.accounts import (
    LOGOUT,
    PASSWORD,
    REFRESH,
    Account,
    Request,
    Response,
    Send,
    UnexpectedResponseError,
    send_checked,
)
from rowhouse.load.bodies import Bodies, free_slots
from rowhouse.load.operations import ELEMENTS, FORM, LOGIN, Api, Operation, Schema, keys_text
from rowhouse.load.profile import Profile

ANONYMOUS, ADMIN = "anonymous", "admin"
# The statuses of a caller without the right. A row of someone else is answered like a missing one.
DENIED = (401, 403, 404)
# Operations of an account that have methods of their own, because no body can be generated for them.
ACCOUNT_OPERATIONS: Mapping[str, Callable[[Account, Send], None]] = {
    f"POST {LOGIN}": Account.sign_in,
    f"POST {REFRESH}": Account.refresh,
    f"POST {LOGOUT}": Account.log_out,
    f"POST {PASSWORD}": Account.change_password,
}
PAGES, PAGE_SIZE, SEARCH_SHARE = 3, 20, 0.25
IDS = "ids"
MAX_ROWS, MAX_WORDS = 50, 200
WORD = re.compile(r'(?<=[" ])[^\W\d_]{3,}(?=[" ,])(?!":)')  # in the texts of a response, not in its member names
SOON_FROM = timedelta(minutes=1)


class ConflictError(RuntimeError):
    """Another client prevents a request. Its response is in the statistics."""


@dataclass(kw_only=True)
class Learned:
    """What the users of a process have learned about the API.

    `roles` has the least role that each operation accepts, by label. A row of a collection in `unique_pairs` must not
    refer to the same rows as another one, like a user's reviews of a book. In a collection in `merged`, a create that
    refers to the same rows returns the first row, like an item in a cart.
    """

    roles: dict[str, str] = field(default_factory=dict)
    unique_pairs: set[str] = field(default_factory=set)
    merged: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Row:
    """The key of a row, a tuple if it has several members.

    When it was known to exist (monotonic, in seconds), and whether this user created it.
    """

    key: object
    known_at: float
    is_own: bool = True


class VirtualUser:
    """Calls operations, in one thread. If `is_alone`, no other client is there, so a conflict is an error."""

    def __init__(
        self,
        api: Api,
        learned: Learned,
        *,
        send: Send,
        administrator: Account,
        profile: Profile | None = None,
        is_alone: bool = False,
    ) -> None:
        self._is_alone = is_alone
        self._api = api
        self._learned = learned
        self._send = send
        self._profile = profile or Profile()
        signed_up = {role: Account.new(role, prefix=api.prefix) for role in api.sign_up_roles}
        self._accounts = {**signed_up, ADMIN: administrator} if api.has_accounts else {}
        # From the fewest rights to the most.
        self._roles = (ANONYMOUS, *self._accounts)
        self._bodies = Bodies(
            api.document, api.targets, amounts=self._profile.amounts, hints=api.hints, said=self._profile.values
        )
        self._rows: dict[str, deque[Row]] = defaultdict(lambda: deque(maxlen=MAX_ROWS))
        self._listed: dict[str, list[object]] = {}
        self._words: dict[str, deque[str]] = defaultdict(lambda: deque("aeiou", maxlen=MAX_WORDS))
        self._references: dict[str, object] = {}
        self._fresh: dict[str, list[object]] = defaultdict(list)
        self._being_created: set[str] = set()
        self._slots = free_slots()

    def sign_in(self) -> None:
        """Sign up and in with every role that an operation needs, so that no later call waits for it.

        Raises:
            UnexpectedResponseError: a request got a wrong response.
        """
        for role, account in self._accounts.items():
            if role in self._learned.roles.values():
                account.headers(self._send)

    def call(self, operation: Operation) -> None:
        """Call an operation once. Create the rows and sign in to the accounts that it needs.

        Raises:
            UnexpectedResponseError: a request got a wrong response.
            UnsupportedSchemaError: no valid request can be generated.
            LookupError: there is no row or account to call it with.
            ConflictError: another client prevents the creation of a row that it needs.
        """
        account_operation = ACCOUNT_OPERATIONS.get(operation.label)
        if account_operation is not None:
            account = self._own_account()
            account.headers(self._send)
            account_operation(account, self._send)
        elif operation.takes_row and self._api.elements_of(operation) > 1:
            self._call_with_rows(operation)
        elif operation.takes_row:
            self._call_with_row(operation)
        else:
            response = self._request(operation)
            if operation.method == "POST":
                self._remember(operation.collection, response)

    def _own_account(self) -> Account:
        """Return the account of the first role at sign-up: the administrator's must keep its password."""
        for role in self._api.sign_up_roles:
            return self._accounts[role]
        raise LookupError("clients cannot sign up, so there is no account to call it with")

    def _call_with_row(self, operation: Operation) -> None:
        rows = self._rows[operation.collection]
        if operation.label in self._profile.starting_soon:
            rows = deque([self._create_starting_soon(operation.collection)])
        if not rows and self._api.create_of(operation.collection) is None:
            row = self._stored_row(operation.collection)
            if self._request(operation, row).status not in operation.successes:
                del self._listed[operation.collection]
            return
        if not rows:
            self._remember(operation.collection, self._create(operation.collection))
        position = random.randrange(len(rows))
        row = rows[position]
        try:
            if operation.restores_row:
                self._delete(operation.collection, row)
            response = self._request(operation, row)
        except ConflictError:
            del rows[position]
            raise
        if operation.ends_row or response.status not in operation.successes:
            del rows[position]

    def _stored_row(self, collection: str) -> Row:
        """Return a row of a collection in which no client creates rows.

        Raises:
            LookupError: there is none.
        """
        keys = self._keys_of(collection)
        if not keys:
            raise LookupError("there is no row, and no operation creates one; store some rows in a migration")
        return Row(random.choice(keys), 0.0, is_own=False)

    def _call_with_rows(self, operation: Operation) -> None:
        rows, creation = self._rows[operation.collection], self._api.batch_create_of(operation.collection)
        for _ in range(2):
            # After the first time it is known whether rows of the collection may refer to the same one.
            if len(rows) < ELEMENTS and creation is not None:
                self._remember(operation.collection, self._request_row(creation))
        taken = [rows.popleft() for _ in range(min(len(rows), ELEMENTS))]
        response = self._request(operation, *taken)
        if not operation.ends_row and response.status in operation.successes:
            rows.extend(taken)

    def _remember(self, collection: str, response: Response) -> None:
        """Remember the rows of a response, for the operations that take one."""
        body, rows = response.json(), self._rows[collection]
        created = body if isinstance(body, list) else [body]
        found = (self._api.key_of(collection, row) for row in created)
        keys = [key for key in found if key is not None]
        if len(set(keys)) < len(keys):
            self._learned.merged.add(collection)
        known = {row.key for row in rows}
        rows.extend(Row(key, time.monotonic()) for key in dict.fromkeys(keys) if key not in known)

    def _create(self, collection: str) -> Response:
        return self._request_row(self._api.create_of(collection))

    def _request_row(self, operation: Operation | None, *rows: Row) -> Response:
        """Call an operation that the next request needs.

        Raises:
            LookupError: there is none.
            ConflictError: another client prevents it. The next call may have more luck.
        """
        if operation is None:
            raise LookupError("no operation creates or deletes the row that is needed")
        response = self._request(operation, *rows)
        if response.status not in operation.successes:
            raise ConflictError(f"{operation.label}: {response.code}")
        return response

    def _create_starting_soon(self, collection: str) -> Row:
        """Create a row that begins in the next minutes. It refers to new rows, so its slot is free."""
        self._references.clear()
        self._slots = itertools.repeat(datetime.now(UTC) + SOON_FROM)
        key = self._key_in(collection, self._create(collection).json())
        self._slots = free_slots()
        return Row(key, time.monotonic())

    def _key_in(self, collection: str, row: Any) -> object:
        """Return the key of a row of a response.

        Raises:
            LookupError: it has none.
        """
        key = self._api.key_of(collection, row)
        if key is None:
            raise LookupError(f"a row of {collection} has no key in the response")
        return key

    def _create_some(self, collection: str) -> list[object]:
        """Create rows, a batch if possible, and return their keys."""
        operation = self._api.batch_create_of(collection)
        rows = [self._create(collection).json()] if operation is None else self._request_row(operation).json()
        return [self._key_in(collection, row) for row in rows]

    def _delete(self, collection: str, row: Row) -> None:
        self._request_row(self._api.delete_of(collection), row)

    def _keys_of(self, collection: str) -> list[object]:
        """Return the keys of existing rows, from one page that is read once."""
        if collection not in self._listed:
            operation = self._api.list_of(collection)
            page = self._request(operation).json() if operation is not None else {}
            self._listed[collection] = [self._key_in(collection, item) for item in page.get("items", ())]
        return self._listed[collection]

    def _refer(self, collection: str, *, afresh: bool) -> object:
        """Return the key of a row to refer to, which this user never deletes; None while it is being created."""
        if self._api.create_of(collection) is None:
            keys = self._keys_of(collection)
            return random.choice(keys) if keys else None
        if collection in self._being_created:
            return None
        if afresh or collection not in self._references:
            self._references[collection] = self._fresh_key(collection)
        return self._references[collection]

    def _fresh_key(self, collection: str) -> object:
        """Return the key of a row that nothing refers to yet."""
        fresh = self._fresh[collection]
        if not fresh:
            self._being_created.add(collection)
            try:
                fresh.extend(self._create_some(collection))
            finally:
                self._being_created.discard(collection)
        return fresh.pop()

    def _request(self, operation: Operation, *rows: Row) -> Response:
        """Call the operations that must come before, then this one, in the least role that gets a valid response."""
        for label in self._profile.steps_before.get(operation.label, ()):
            self._request_row(self._api.by_label[label], *rows)
        previous = self._api.previous_step(operation)
        if previous is not None:
            self._request_row(previous, *rows)
        self._rows.pop(self._profile.consumed.get(operation.label, ""), None)
        *others, last = self._roles_for(operation)
        for role in others:
            try:
                return self._request_as(operation, role, rows)
            except UnexpectedResponseError as error:
                if error.status not in DENIED:
                    raise
        return self._request_as(operation, last, rows)

    def _request_as(self, operation: Operation, role: str, rows: Sequence[Row]) -> Response:
        """Call an operation in a role, and remember the role if the response is valid."""
        response = send_checked(self._send, self._request_in_role(operation, role, rows))
        self._learned.roles[operation.label] = role
        if {"search", "page"} <= operation.optional_query:
            self._words[operation.collection].extend(WORD.findall(response.content.decode())[-MAX_WORDS:])
        return response

    def _roles_for(self, operation: Operation) -> tuple[str, ...]:
        """Return the roles to try, the least first: the learned one, or those that can create rows."""
        known = self._learned.roles.get(operation.label)
        if known is not None:
            return (known,)
        if not operation.is_secured:
            return self._roles
        creation = self._api.create_of(operation.collection)
        least = self._learned.roles.get(creation.label, ANONYMOUS) if creation else ANONYMOUS
        return self._roles[max(1, self._roles.index(least)) :]

    def _request_in_role(self, operation: Operation, role: str, rows: Sequence[Row]) -> Request:
        generate = self._generator(operation, *rows)
        headers = {} if role == ANONYMOUS else dict(self._accounts[role].headers(self._send))
        body = self._body(operation, generate, rows)
        if body is not None:
            headers["Content-Type"] = str(operation.media_type)
        query = {name: generate(schema, name=name) for name, schema in operation.query.items()} | self._page(operation)
        if rows and IDS in query:
            query[IDS] = keys_text([row.key for row in rows])
        path = operation.path_of(rows[0].key if rows else "")
        age = max((time.monotonic() - row.known_at for row in rows), default=0.0)
        is_foreign = not self._is_alone and any(not row.is_own for row in rows)
        return Request(
            method=operation.method,
            path=f"{path}?{urlencode(query)}" if query else path,
            name=operation.name,
            successes=operation.successes,
            conflicts=self._conflicts(age),
            is_foreign=is_foreign,
            headers=headers,
            body=body,
            is_stream=operation.is_stream,
        )

    def _conflicts(self, age: float) -> frozenset[str]:
        """Return the codes of a 409 that are no error for a row of this age in seconds."""
        expected = frozenset(code for code, seconds in self._profile.expected_conflicts.items() if age > seconds)
        return expected if self._is_alone else self._api.conflicts | expected

    def _generator(self, operation: Operation, *rows: Row) -> Callable[..., Any]:
        """Return a generator of values for one request, or one element. All its instants are in one slot."""
        collection = operation.collection
        is_merged = collection in self._learned.merged and self._api.elements_of(operation) > 1
        afresh = collection in self._learned.unique_pairs or is_merged
        key = self._api.members_of(collection, rows[0].key) if rows else None
        refer = partial(self._refer, afresh=afresh)
        return partial(self._bodies.generate, refer=refer, start=self._next_slot(), key=key)

    def _body(self, operation: Operation, generate: Callable[..., Any], rows: Sequence[Row]) -> str | None:
        if operation.body is None:
            return None
        if operation.takes_rows:
            creation = self._api.create_of(operation.collection)
            schema: Schema = creation.body or {} if creation else {}
            number = self._bodies.next_number()
            return "\n".join(json.dumps(self._generator(operation)(schema, number=number)) for _ in range(ELEMENTS))
        if self._api.elements_of(operation) > 1:
            element = operation.body.get("items", {})
            about: Sequence[Sequence[Row]] = [(row,) for row in rows] or [()] * ELEMENTS
            number = self._bodies.next_number()
            return json.dumps([self._generator(operation, *own)(element, number=number) for own in about])
        body = generate(operation.body)
        return urlencode(body) if operation.media_type == FORM else json.dumps(body)

    def _page(self, operation: Operation) -> dict[str, Any]:
        """Return the parameters of a list: one of the first pages, sometimes with a search for a word from a response.

        One search in four has two letters only, like that of a client who is still typing. Where no client creates
        rows, the first page comes first, because it tells which rows there are.
        """
        query, collection = dict[str, Any](), operation.collection
        if {"page", "size"} <= operation.optional_query:
            if self._api.create_of(collection) is None and collection not in self._listed:
                return {"page": 1, "size": PAGE_SIZE}
            query = {"page": random.randint(1, PAGES), "size": PAGE_SIZE}
        if query and "search" in operation.optional_query and random.random() < SEARCH_SHARE:
            word = random.choice(self._words[collection])
            query["search"] = random.choice((word, word, word, word[:2]))
        return query

    def _next_slot(self) -> datetime:
        """Return the start of an unused slot. When all are used, begin again with other rows to refer to."""
        start = next(self._slots, None)
        if start is None:
            self._references.clear()
            self._slots = free_slots()
            start = next(self._slots)
        return start
