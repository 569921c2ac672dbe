"""A mixed load with a known response to every request.

Clients create, read, change and delete rows of their own, and read the rows of others. The name of a row has its
number, owner and version, so a response of another statement is noticed at once.
"""

import itertools
import random
import threading
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.world.services.server import API

CREATED, OK, DELETED, MISSING, FULL = 201, 200, 204, 404, 503
NO_ANSWER = 599  # the connection was broken off
PATH = f"{API}/categories"
Headers = Mapping[str, str]


def sign_in(url: str) -> dict[str, str]:
    """The headers of the administrator at a server."""
    form = {"username": ADMIN_EMAIL, "password": ADMIN_PASSWORD}
    answer = httpx2.post(f"{url}{API}/auth/login", data=form, timeout=30)
    assert answer.status_code == OK, answer.text
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@dataclass
class Tally:
    """What came back from all clients together."""

    statuses: Counter[int] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    deletes: list[str] = field(default_factory=list)
    kept: dict[int, str] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    seconds: float = 0.0

    @property
    def requests(self) -> int:
        """How many were answered."""
        return self.statuses.total()

    @property
    def failures(self) -> dict[int, int]:
        """Answers of 500 and above but for those that say that the server is full."""
        return {status: count for status, count in self.statuses.items() if status >= 500 and status != FULL}

    def __str__(self) -> str:
        per_second = self.requests / self.seconds if self.seconds else 0
        return (
            f"{self.requests} requests, {per_second:.0f} a second, {len(self.wrong)} wrong, {dict(sorted(self.statuses.items()))},"
            f" {len(self.kept)} rows kept, {len(self.gone)} deleted"
        )


class Others:
    """Rows of every client, for the others to read: each id's name without its version."""

    def __init__(self) -> None:
        self._names: dict[int, str] = {}
        self._lock = threading.Lock()

    def add(self, row_id: int, name: str) -> None:
        """A row that may be read."""
        with self._lock:
            self._names[row_id] = name

    def pick(self, dice: random.Random) -> tuple[int, str] | None:
        """One of them."""
        with self._lock:
            return dice.choice(list(self._names.items())) if self._names else None


class Client:
    """One client with a connection of its own."""

    def __init__(self, url: str, headers: Headers, *, number: int, others: Others, tally: Tally) -> None:
        self._http = httpx2.Client(base_url=url, headers=dict(headers), timeout=60)
        self._number, self._others, self._tally = number, others, tally
        self._dice = random.Random(number)  # noqa: S311  a load, no secret
        self._rows: dict[int, str] = {}
        self._names = itertools.count(1)
        self._lock = threading.Lock()

    def run(self, requests: int) -> None:
        """Send so many requests."""
        steps = [self._make, self._make, self._read, self._read, self._find, self._change, self._read_other,
                 self._read_other, self._read_others, self._delete]  # fmt: skip
        with self._http:
            for _ in range(requests):
                self._dice.choice(steps)()
        self._tally.kept.update(self._rows)

    def _send(self, method: str, path: str, **options: Any) -> httpx2.Response:
        try:
            answer = self._http.request(method, path, **options)
        except httpx2.TransportError as error:
            answer = httpx2.Response(NO_ANSWER, text=repr(error))
        self._tally.statuses[answer.status_code] += 1
        if answer.status_code >= 500 and answer.status_code != FULL:
            self._note(f"{method} {path}", answer)
        return answer

    def _note(self, what: str, answer: httpx2.Response) -> None:
        self._tally.wrong.append(f"{what}: {answer.status_code} {answer.text[:300]}")

    def _expect(self, what: str, answer: httpx2.Response, status: int, **members: Any) -> None:
        """Note an answer that is neither this nor a 503."""
        if answer.status_code == FULL or answer.status_code >= 500:
            return
        if answer.status_code != status:
            self._note(f"{what}, wanted {status}", answer)
        elif members and {name: answer.json().get(name) for name in members} != members:
            self._note(f"{what}, wanted {members}", answer)

    def _pick(self) -> int | None:
        return self._dice.choice(list(self._rows)) if self._rows else None

    def _make(self) -> None:
        name = f"c{self._number}-{next(self._names)}"
        answer = self._send("POST", PATH, json={"name": f"{name} v1", "description": name})
        self._expect(f"POST {name}", answer, CREATED, name=f"{name} v1", description=name)
        if answer.status_code == CREATED:
            row_id = answer.json()["id"]
            self._rows[row_id] = f"{name} v1"
            self._others.add(row_id, name)

    def _read(self) -> None:
        row_id = self._pick()
        if row_id is not None:
            self._expect(f"GET {row_id}", self._send("GET", f"{PATH}/{row_id}"), OK, id=row_id, name=self._rows[row_id])

    def _find(self) -> None:
        row_id = self._pick()
        if row_id is None:
            return
        answer = self._send("GET", PATH, params={"name": self._rows[row_id]})
        if answer.status_code == OK and [item["id"] for item in answer.json().get("items", ())] != [row_id]:
            self._note(f"GET ?name={self._rows[row_id]}, wanted {row_id}", answer)
        self._expect(f"GET ?name={self._rows[row_id]}", answer, OK)

    def _change(self) -> None:
        row_id = self._pick()
        if row_id is None:
            return
        name, _, version = self._rows[row_id].rpartition(" v")
        new = f"{name} v{int(version) + 1}"
        answer = self._send("PATCH", f"{PATH}/{row_id}", json={"name": new})
        self._expect(f"PATCH {row_id}", answer, OK, id=row_id, name=new)
        if answer.status_code == OK:
            self._rows[row_id] = new

    def _delete(self) -> None:
        row_id = self._pick()
        if row_id is None:
            return
        path = f"{PATH}/{row_id}"
        self._tally.deletes.append(path)
        answer = self._send("DELETE", path)
        self._expect(f"DELETE {row_id}", answer, DELETED)
        if answer.status_code == DELETED:
            del self._rows[row_id]
            self._tally.gone.add(row_id)
            self._expect(f"GET {row_id} after its DELETE", self._send("GET", path), MISSING)

    def _read_other(self) -> None:
        """Another's row is either itself or, where its owner was quicker, missing."""
        picked = self._others.pick(self._dice)
        if picked is None:
            return
        row_id, name = picked
        answer = self._send("GET", f"{PATH}/{row_id}")
        if answer.status_code == MISSING and row_id in {int(path.rpartition("/")[2]) for path in self._tally.deletes}:
            return
        self._expect(f"GET {row_id} of another", answer, OK, id=row_id, description=name)

    def _read_others(self) -> None:
        answer = self._send("GET", PATH, params={"sort": "-id", "size": 20})
        self._expect("GET a page", answer, OK)
        if answer.status_code == OK:
            wrong = [item for item in answer.json()["items"] if not item["name"].startswith(item["description"])]
            if wrong:
                self._note("GET a page: rows that do not go together", answer)


def mixed_load(url: str, *, clients: int, requests: int) -> Tally:
    """Have so many clients send so many requests in all; then look at every row."""
    tally, others, headers = Tally(), Others(), sign_in(url)
    everybody = [Client(url, headers, number=n, others=others, tally=tally) for n in range(clients)]
    started = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(lambda client: client.run(requests // clients), everybody))
    tally.seconds = time.monotonic() - started
    return tally


def lost(url: str, tally: Tally) -> list[str]:
    """Rows that are not as the clients left them."""
    stored: dict[int, str] = {}
    page = httpx2.get(f"{url}{PATH}", params={"size": 100, "sort": "id"}, timeout=60).json()
    while True:
        stored.update({item["id"]: item["name"] for item in page["items"]})
        if page["next_cursor"] is None:
            break
        page = httpx2.get(f"{url}{PATH}", params={"cursor": page["next_cursor"]}, timeout=60).json()
    missing = [
        f"{row_id} {name}: {stored.get(row_id)}" for row_id, name in tally.kept.items() if stored.get(row_id) != name
    ]
    return missing + [f"{row_id} is back" for row_id in tally.gone if row_id in stored]
