"""One visitor of the API: calls any operation with a valid request, on rows that it made itself.

It has an account of each role and takes the least of them that an operation needs. It books slots that are its own, at a charge
point of its own, so that no other visitor, process or earlier run is in its way. It knows no entity and no load tool.
"""

import itertools
import json
import random
import re
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from perf.accounts import LOGIN, LOGOUT, PASSWORD, REFRESH, Account, Answer, RefusedError, Request, Send, ask
from perf.bodies import OWN_ROW, SLOT_LENGTH, Bodies
from perf.operations import ELEMENTS, FORM, PREFIX, Api, Operation, Schema

NOBODY, USER, DRIVER, ADMIN = "nobody", "user", "driver", "admin"
ROLES = (NOBODY, USER, DRIVER, ADMIN)
# The answers that say: not you. Someone else's row is as good as missing.
NOT_YOU = (401, 403, 404)
# What belongs to an account and not to a schema: no body can be made up for it.
RITUALS: Mapping[str, Callable[[Account, Send], None]] = {
    f"POST {LOGIN}": Account.sign_in,
    f"POST {REFRESH}": Account.refresh,
    f"POST {LOGOUT}": Account.log_out,
    f"POST {PASSWORD}": Account.change_password,
}
# A conflict that is right for a row so many seconds old, by its code: nobody confirmed the booking (BOOKING_HOLD_MINUTES).
RIGHT_CONFLICTS = {"booking_closed": 15 * 60 - 5}
# What a schema cannot say: the operations that come right before one, in the same state of the same row.
BEFORE: Mapping[str, tuple[str, ...]] = {
    "POST /orders": ("POST /cart-items",),
    "POST /orders/{id}/deliver": ("POST /orders/{id}/ship",),
    "POST /bookings/{id}/start": ("POST /bookings/{id}/confirm",),
    "POST /bookings/{id}/complete": ("POST /bookings/{id}/start",),
}
# The operations that take a row of the next few minutes: a booking starts from BOOKING_EARLY_MINUTES before its time.
SOON = frozenset({"POST /bookings/{id}/start", "POST /bookings/{id}/complete"})
# The collection whose rows are gone after an operation.
CONSUMED: Mapping[str, str] = {"POST /orders": f"{PREFIX}/cart-items"}
PAGES, PAGE_SIZE, SEARCH_SHARE = 3, 20, 0.25
IDS = "ids"
MAX_ROWS, MAX_WORDS = 50, 200
WORD = re.compile(r'(?<=[" ])[^\W\d_]{3,}(?=[" ,])(?!":)')  # of the texts in an answer, not its names
SLOTS_FROM, SLOTS_UNTIL, SOON_FROM = timedelta(hours=1), timedelta(days=80), timedelta(minutes=1)


@dataclass(kw_only=True)
class Plan:
    """What was learnt of the API, shared by the visitors of a process.

    `roles` holds the least role that each operation needs, by label. Rows of the collections in `paired` may not refer to the
    same rows twice, as one user's reviews of one book. Of those in `merged` a second row that refers to the same is the first one, as
    in a cart.
    """

    roles: dict[str, str] = field(default_factory=dict)
    paired: set[str] = field(default_factory=set)
    merged: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Row:
    """A row by its key, and when it was known to be there (monotonic, in seconds)."""

    key: object
    known_at: float


class Visitor:
    """Calls operations; not safe to share between threads."""

    def __init__(self, api: Api, plan: Plan, *, send: Send, administrator: Account) -> None:
        self._api = api
        self._plan = plan
        self._send = send
        self._accounts = {USER: Account.new(USER), DRIVER: Account.new(DRIVER), ADMIN: administrator}
        self._bodies = Bodies(api.document, api.targets)
        self._rows: dict[str, deque[Row]] = defaultdict(lambda: deque(maxlen=MAX_ROWS))
        self._listed: dict[str, list[object]] = {}
        self._words: dict[str, deque[str]] = defaultdict(lambda: deque("aeiou", maxlen=MAX_WORDS))
        self._references: dict[str, object] = {}
        self._fresh: dict[str, list[object]] = defaultdict(list)
        self._being_made: set[str] = set()
        self._slots = _slots()

    def sign_in(self) -> None:
        """Sign up and in as whoever the plan has a use for, so that nobody stops for it later.

        Raises:
            RefusedError: a request got a wrong answer.
        """
        for role in ROLES:
            if role != NOBODY and role in self._plan.roles.values():
                self._accounts[role].headers(self._send)

    def call(self, operation: Operation) -> None:
        """Call it once; what it takes, a row or a sign-in, is made on the way.

        Raises:
            RefusedError: a request got a wrong answer.
            UnmakeableError: no valid request can be made.
        """
        ritual = RITUALS.get(operation.label)
        if ritual is not None:
            account = self._accounts[USER]
            account.headers(self._send)
            ritual(account, self._send)
        elif operation.takes_row and self._api.elements_of(operation) > 1:
            self._call_with_rows(operation)
        elif operation.takes_row:
            self._call_with_row(operation)
        else:
            answer = self._ask(operation)
            if operation.method == "POST":
                self._keep(operation.collection, answer)

    def _call_with_row(self, operation: Operation) -> None:
        rows = self._rows[operation.collection]
        if operation.label in SOON:
            rows = deque([self._make_for_soon(operation.collection)])
        if not rows and self._api.create_of(operation.collection) is None:
            self._ask(operation, Row(random.choice(self._keys_of(operation.collection)), 0.0))
            return
        if not rows:
            self._keep(operation.collection, self._make(operation.collection))
        position = random.randrange(len(rows))
        row = rows[position]
        if operation.revives_row:
            self._delete(operation.collection, row)
        answer = self._ask(operation, row)
        if operation.ends_row or answer.status not in operation.successes:
            del rows[position]

    def _call_with_rows(self, operation: Operation) -> None:
        rows, creation = self._rows[operation.collection], self._api.batch_create_of(operation.collection)
        for _ in range(2):
            # The second time it is known whether rows of the collection may refer to the same one.
            if len(rows) < ELEMENTS and creation is not None:
                self._keep(operation.collection, self._ask(creation))
        taken = [rows.popleft() for _ in range(min(len(rows), ELEMENTS))]
        answer = self._ask(operation, *taken)
        if not operation.ends_row and answer.status in operation.successes:
            rows.extend(taken)

    # -- rows --------------------------------------------------------------------------------------------------------

    def _keep(self, collection: str, answer: Answer) -> None:
        """Remember a new row for the operations that take one; one that was there already is remembered."""
        made, rows = answer.json(), self._rows[collection]
        keys = [
            row["id"] for row in (made if isinstance(made, list) else [made]) if isinstance(row, dict) and "id" in row
        ]
        if len(set(keys)) < len(keys):
            self._plan.merged.add(collection)
        known = {row.key for row in rows}
        rows.extend(Row(key, time.monotonic()) for key in dict.fromkeys(keys) if key not in known)

    def _make(self, collection: str) -> Answer:
        operation = self._api.create_of(collection)
        if operation is None:
            raise LookupError(f"nothing makes rows of {collection}")
        return self._ask(operation)

    def _make_for_soon(self, collection: str) -> Row:
        """A new row of the next minutes, at rows that nothing refers to yet: its slot is free."""
        self._references.clear()
        self._slots = itertools.repeat(datetime.now(UTC) + SOON_FROM)
        key = self._make(collection).json()["id"]
        self._slots = _slots()
        return Row(key, time.monotonic())

    def _make_some(self, collection: str) -> list[object]:
        """The keys of new rows, many where they are made at once."""
        operation = self._api.batch_create_of(collection)
        if operation is None:
            return [self._make(collection).json()["id"]]
        return [row["id"] for row in self._ask(operation).json()]

    def _delete(self, collection: str, row: Row) -> None:
        operation = self._api.delete_of(collection)
        if operation is None:
            raise LookupError(f"nothing deletes rows of {collection}")
        self._ask(operation, row)

    def _keys_of(self, collection: str) -> list[object]:
        """The keys of rows that are there already, from one page that is read once."""
        if collection not in self._listed:
            operation = self._api.list_of(collection)
            page = self._ask(operation).json() if operation is not None else {}
            self._listed[collection] = [item["id"] for item in page.get("items", ())]
        return self._listed[collection]

    def _refer(self, collection: str, *, afresh: bool, row: Row | None) -> object:
        """The key of a row to refer to, which this visitor never deletes; None where it is only just being made."""
        if collection == OWN_ROW:
            return row.key if row else None
        if self._api.create_of(collection) is None:
            keys = self._keys_of(collection)
            return random.choice(keys) if keys else None
        if collection in self._being_made:
            return None
        if afresh or collection not in self._references:
            self._references[collection] = self._fresh_key(collection)
        return self._references[collection]

    def _fresh_key(self, collection: str) -> object:
        """The key of a row that nothing refers to yet."""
        fresh = self._fresh[collection]
        if not fresh:
            self._being_made.add(collection)
            try:
                fresh.extend(self._make_some(collection))
            finally:
                self._being_made.discard(collection)
        return fresh.pop()

    # -- requests ----------------------------------------------------------------------------------------------------

    def _ask(self, operation: Operation, *rows: Row) -> Answer:
        """The right answer, asked for in the least role that gets one, once what has to come before it was done."""
        for label in BEFORE.get(operation.label, ()):
            self._ask(self._api.by_label[label], *rows)
        self._rows.pop(CONSUMED.get(operation.label, ""), None)
        roles = self._roles_for(operation)
        for role in roles:
            try:
                answer = ask(self._send, self._request(operation, role, rows))
            except RefusedError as error:
                if role == roles[-1] or error.status not in NOT_YOU:
                    raise
            else:
                self._plan.roles[operation.label] = role
                if {"search", "page"} <= operation.optional_query:
                    self._words[operation.collection].extend(WORD.findall(answer.content.decode())[-MAX_WORDS:])
                return answer
        raise LookupError(operation.label)

    def _roles_for(self, operation: Operation) -> tuple[str, ...]:
        """Who might call it: who is known to, or from the least role upwards; whoever sees only own rows must have some."""
        known = self._plan.roles.get(operation.label)
        if known is not None:
            return (known,)
        if not operation.is_secured:
            return ROLES
        maker = self._api.create_of(operation.collection)
        least = self._plan.roles.get(maker.label, USER) if maker else USER
        return ROLES[max(1, ROLES.index(least)) :]

    def _request(self, operation: Operation, role: str, rows: Sequence[Row]) -> Request:
        make = self._maker(operation, *rows)
        headers = {} if role == NOBODY else dict(self._accounts[role].headers(self._send))
        body = self._body(operation, make, rows)
        if body is not None:
            headers["Content-Type"] = str(operation.media_type)
        query = {name: make(schema, name=name) for name, schema in operation.query.items()} | self._page(operation)
        if rows and IDS in query:
            query[IDS] = ",".join(str(row.key) for row in rows)
        path = operation.path_of(rows[0].key if rows else "")
        age = max((time.monotonic() - row.known_at for row in rows), default=0.0)
        return Request(
            method=operation.method,
            path=f"{path}?{urlencode(query)}" if query else path,
            name=operation.name,
            successes=operation.successes,
            conflicts=frozenset(code for code, seconds in RIGHT_CONFLICTS.items() if age > seconds),
            headers=headers,
            body=body,
            is_stream=operation.is_stream,
        )

    def _maker(self, operation: Operation, *rows: Row) -> Callable[..., Any]:
        """Makes the values of one request, or of one element; all instants of it are of one slot."""
        plan, collection = self._plan, operation.collection
        afresh = collection in plan.paired or (collection in plan.merged and self._api.elements_of(operation) > 1)
        refer = partial(self._refer, afresh=afresh, row=rows[0] if rows else None)
        return partial(self._bodies.make, refer=refer, start=self._next_slot())

    def _body(self, operation: Operation, make: Callable[..., Any], rows: Sequence[Row]) -> str | None:
        if operation.body is None:
            return None
        if operation.takes_rows:
            creation = self._api.create_of(operation.collection)
            schema: Schema = creation.body or {} if creation else {}
            number = self._bodies.next_number()
            return "\n".join(json.dumps(self._maker(operation)(schema, number=number)) for _ in range(ELEMENTS))
        if self._api.elements_of(operation) > 1:
            element = operation.body.get("items", {})
            about: Sequence[Sequence[Row]] = [(row,) for row in rows] or [()] * ELEMENTS
            number = self._bodies.next_number()
            return json.dumps([self._maker(operation, *own)(element, number=number) for own in about])
        made = make(operation.body)
        return urlencode(made) if operation.media_type == FORM else json.dumps(made)

    def _page(self, operation: Operation) -> dict[str, Any]:
        """The parameters of a list: one of the first pages, now and then with a search for what was seen there.

        One in four searches is for two letters, as somebody types them who has not got further.
        """
        query: dict[str, Any] = {}
        if {"page", "size"} <= operation.optional_query:
            query = {"page": random.randint(1, PAGES), "size": PAGE_SIZE}
        if query and "search" in operation.optional_query and random.random() < SEARCH_SHARE:
            word = random.choice(self._words[operation.collection])
            query["search"] = random.choice((word, word, word, word[:2]))
        return query

    def _next_slot(self) -> datetime:
        """The start of a slot that this visitor has not used; when all are used, it goes on with other rows to refer to."""
        start = next(self._slots, None)
        if start is None:
            self._references.clear()
            self._slots = _slots()
            start = next(self._slots)
        return start


def _slots() -> Iterator[datetime]:
    first = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) + SLOTS_FROM + SLOT_LENGTH
    starts = (first + SLOT_LENGTH * position for position in itertools.count())
    return itertools.takewhile(lambda start: start < first + SLOTS_UNTIL, starts)
