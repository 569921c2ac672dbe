"""Throttling of failed attempts: what is counted against which limit, and what happens without the shared storage."""

import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from types import SimpleNamespace
from typing import Any

import pytest
from limits.errors import StorageError
from limits.storage import MemoryStorage
from pydantic import ValidationError

from rowhouse.core.clock import set_clock
from rowhouse.core.errors import RowhouseError, TooManyAttemptsError
from rowhouse.core.settings import Settings
from rowhouse.requests import counters as counting
from rowhouse.requests.counters import network_of
from rowhouse.requests.throttling import AttemptThrottle

HERE, THERE = "192.0.2.1", "198.51.100.7"
SHARED = "redis://counts.example:6379/0"
BOUNDS: dict[str, Any] = {
    "login_failures_per_account": 3,
    "login_failures_per_account_everywhere": 5,
    "login_failures_per_address": 7,
    "login_failure_minutes": 10,
}


class WrongError(RowhouseError):
    """The failure that is counted."""


class Clock:
    """A clock for the library and the engine."""

    def __init__(self) -> None:
        self.instant = datetime(2030, 1, 1, tzinfo=UTC)

    def seconds(self) -> float:
        """Return the time as the library needs it."""
        return self.instant.timestamp()

    def go_on(self, **span: float) -> None:
        """Advance the clock."""
        self.instant += timedelta(**span)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A clock that stands still until a test advances it."""
    made = Clock()
    monkeypatch.setattr("limits.storage.memory.time", SimpleNamespace(time=made.seconds))
    with set_clock(lambda: made.instant):
        yield made


@pytest.fixture
def counts(clock: Clock) -> AttemptThrottle:
    """Limits of 3 from one address, 5 from all addresses and 7 for an address, in ten minutes."""
    return made()


def made(**settings: Any) -> AttemptThrottle:
    """Return a throttle with these settings."""
    return AttemptThrottle(Settings(**{**BOUNDS, **settings}))


def attempt(
    counts: AttemptThrottle, subject: str = "ann", address: str = HERE, *, raising: type[Exception] | None
) -> str:
    """Return how an attempt ended: done, wrong, refused, or with another error."""
    try:
        with counts.attempt(subject, address, failure=WrongError):
            if raising is not None:
                raise raising
    except TooManyAttemptsError:
        return "refused"
    except WrongError:
        return "wrong"
    except LookupError:
        return "interrupted"
    return "done"


def fail(counts: AttemptThrottle, subject: str = "ann", address: str = HERE) -> str:
    """Return how a failing attempt ended."""
    return attempt(counts, subject, address, raising=WrongError)


def succeed(counts: AttemptThrottle, subject: str = "ann", address: str = HERE) -> str:
    """Return how a correct attempt ended."""
    return attempt(counts, subject, address, raising=None)


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("testclient", "testclient"),
        ("", ""),
    ],
)
def test_what_counts_as_one_address(address: str, network: str) -> None:
    """Of IPv6 the 64 bits that one customer has. IPv4 within IPv6 is IPv4."""
    assert network_of(address) == network


def test_past_the_bound_an_attempt_is_refused(counts: AttemptThrottle) -> None:
    """Correct or wrong. Another subject and another address are not affected."""
    assert [fail(counts) for _ in range(5)] == ["wrong"] * 3 + ["refused"] * 2
    assert succeed(counts) == "refused"
    assert fail(counts, "bob") == "wrong"
    assert fail(counts, address=THERE) == "wrong"


def test_the_refusal_says_how_long(counts: AttemptThrottle, clock: Clock) -> None:
    """Until the first failure expires. Rejected attempts do not prolong it."""
    fail(counts)
    clock.go_on(minutes=4)
    assert [fail(counts) for _ in range(4)] == ["wrong", "wrong", "refused", "refused"]
    with pytest.raises(TooManyAttemptsError) as refused, counts.attempt("ann", HERE, failure=WrongError):
        raise AssertionError("nothing within is done")
    assert refused.value.headers == {"Retry-After": "360"}
    clock.go_on(minutes=5, seconds=59.5)
    assert fail(counts) == "refused"
    clock.go_on(seconds=1)
    assert [fail(counts) for _ in range(4)] == ["wrong"] * 3 + ["refused"]


@pytest.mark.parametrize(("ahead", "told"), [(-1, "600"), (1, "1")])
def test_clocks_that_differ_make_no_odd_wait(counts: AttemptThrottle, clock: Clock, ahead: int, told: str) -> None:
    """At least a second, at most the window."""
    for _ in range(3):
        fail(counts)
    with (
        set_clock(lambda: clock.instant + timedelta(days=ahead)),
        pytest.raises(TooManyAttemptsError) as refused,
        counts.attempt("ann", HERE, failure=WrongError),
    ):
        raise AssertionError("nothing within is done")
    assert refused.value.headers == {"Retry-After": told}


def test_a_success_counts_nothing_and_forgives(counts: AttemptThrottle) -> None:
    """At this address; failures from elsewhere stay."""
    assert {succeed(counts) for _ in range(50)} == {"done"}
    assert [fail(counts) for _ in range(2)] + [fail(counts, address=THERE) for _ in range(3)] == ["wrong"] * 5
    assert succeed(counts) == "done"
    assert [fail(counts) for _ in range(4)] == ["wrong"] * 3 + ["refused"]
    assert fail(counts, address=THERE) == "refused"


def test_an_interruption_counts_nothing_and_forgives_nothing(counts: AttemptThrottle) -> None:
    """An unreachable database is no wrong password."""
    fail(counts)
    assert [attempt(counts, raising=LookupError) for _ in range(9)] == ["interrupted"] * 9
    assert [fail(counts) for _ in range(3)] == ["wrong", "wrong", "refused"]


def test_many_addresses_have_a_bound_together(counts: AttemptThrottle) -> None:
    """For one subject. The first attempt of the sixth address is rejected and not counted against it."""
    assert [fail(counts, address=f"192.0.2.{n}") for n in range(6)] == ["wrong"] * 5 + ["refused"]
    assert fail(counts, "bob", "192.0.2.5") == "wrong"


def test_a_refused_attempt_is_counted_nowhere(counts: AttemptThrottle) -> None:
    """Whichever limit rejected it, the address keeps its limit for other subjects."""
    assert [fail(counts, address=f"192.0.2.{n}") for n in range(5)] == ["wrong"] * 5
    assert {fail(counts, address=THERE) for _ in range(20)} == {"refused"}
    assert [fail(counts, f"person {n}", THERE) for n in range(8)] == ["wrong"] * 7 + ["refused"]


def test_failures_of_others_do_not_lock_out_a_known_client(counts: AttemptThrottle, clock: Clock) -> None:
    """An address with an earlier success has only its own limit, for thirty days after the last success.

    It helps no other address there.
    """
    succeed(counts)
    clock.go_on(days=29)
    succeed(counts)
    clock.go_on(days=29)
    assert [fail(counts, address=f"192.0.3.{n}") for n in range(6)] == ["wrong"] * 5 + ["refused"]
    assert [fail(counts), fail(counts), succeed(counts)] == ["wrong", "wrong", "done"]
    assert [fail(counts) for _ in range(4)] == ["wrong"] * 3 + ["refused"]
    assert succeed(counts, address=THERE) == "refused"
    assert [fail(counts, "bob", f"192.0.3.{n}") for n in range(5)] == ["wrong"] * 5
    assert succeed(counts, "bob") == "refused"


def test_a_network_is_trusted_for_thirty_days(counts: AttemptThrottle, clock: Clock) -> None:
    """Then it is like any other."""
    succeed(counts)
    clock.go_on(days=30, seconds=1)
    assert [fail(counts, address=f"192.0.3.{n}") for n in range(5)] == ["wrong"] * 5
    assert succeed(counts) == "refused"


def test_an_address_has_a_bound_over_all_subjects(counts: AttemptThrottle) -> None:
    """A success does not reset it: an attacker may have an account.

    Subjects with an earlier success there are not affected.
    """
    ends = [fail(counts, f"person {n}") if n % 2 else succeed(counts, "mine") for n in range(14)]
    assert Counter(ends) == {"wrong": 7, "done": 7}
    assert succeed(counts, "strange") == "refused"
    assert succeed(counts, "strange", THERE) == "done"
    assert succeed(counts, "mine") == "done"


def test_an_ipv6_network_is_one_address(counts: AttemptThrottle) -> None:
    """Its owner has 2^64 addresses."""
    assert [fail(counts, address=f"2001:db8::{n:x}") for n in range(4)] == ["wrong"] * 3 + ["refused"]
    assert fail(counts, address="2001:db8:0:1::1") == "wrong"


def test_of_a_burst_the_bound_get_through() -> None:
    """All begin before any has ended, and exactly the limit is checked."""
    counts, begun = made(), Barrier(3)

    def wrong_together() -> None:
        begun.wait(10)
        raise WrongError

    def guess(_number: int) -> str:
        try:
            with counts.attempt("ann", HERE, failure=WrongError):
                wrong_together()
        except RowhouseError as error:
            return error.code
        return "done"

    with ThreadPoolExecutor(16) as threads:
        ends = Counter(threads.map(guess, range(16)))
    assert ends == {WrongError.code: 3, TooManyAttemptsError.code: 13}


Share = Callable[[MemoryStorage], list[tuple[str, Any]]]


@pytest.fixture
def share(monkeypatch: pytest.MonkeyPatch) -> Share:
    """`share(storage)` replaces the storage of the settings, and records its calls."""

    def put(storage: MemoryStorage) -> list[tuple[str, Any]]:
        asked: list[tuple[str, Any]] = []

        def find(url: str, **options: Any) -> MemoryStorage:
            asked.append((url, options))
            return storage

        monkeypatch.setattr(counting, "storage_from_string", find)
        return asked

    return put


class Brittle(MemoryStorage):
    """A storage that fails like the library's, when the test says so."""

    STORAGE_SCHEME = ("brittle",)  # type: ignore[assignment]  # the library's own is a list; not that of its parent

    def __init__(self) -> None:
        super().__init__()
        self.broken = False
        self.calls = 0

    def incr(self, key: str, expiry: float, amount: int = 1) -> int:
        """Count, or fail."""
        self.calls += 1
        if self.broken:
            raise StorageError(ConnectionError("gone"))
        return super().incr(key, expiry, amount)


def test_servers_with_one_storage_count_together(clock: Clock, share: Share) -> None:
    """A success at one is known to the other. The storage is used with a timeout and with errors of its own kind."""
    asked = share(MemoryStorage())
    one, other = made(rate_limit_storage_url=SHARED), made(rate_limit_storage_url=SHARED)
    assert [fail(one), fail(other), succeed(one), fail(other), fail(one), fail(other)] == [
        "wrong", "wrong", "done", "wrong", "wrong", "wrong",
    ]  # fmt: skip
    assert [succeed(one), succeed(other)] == ["refused", "refused"]
    options = {"wrap_exceptions": True, "socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    assert asked == [(SHARED, options)] * 2


def test_without_its_storage_a_server_counts_alone(clock: Clock, share: Share, monkeypatch: pytest.MonkeyPatch) -> None:
    """It logs that once, pauses, and then tries the storage again."""
    warnings: list[str] = []
    monkeypatch.setattr(counting, "log", SimpleNamespace(warning=lambda text, **_: warnings.append(text)))
    storage = Brittle()
    share(storage)
    counts = made(rate_limit_storage_url=SHARED)
    storage.broken = True
    assert [fail(counts) for _ in range(4)] == ["wrong"] * 3 + ["refused"]
    assert storage.calls == 1
    assert len([text for text in warnings if text.endswith("RATE_LIMIT_STORAGE_URL does not respond")]) == 1
    storage.broken = False
    clock.go_on(seconds=6)
    assert [fail(counts) for _ in range(4)] == ["wrong"] * 3 + ["refused"]


def test_a_storage_that_fails_during_an_attempt_does_not_fail_it(clock: Clock, share: Share) -> None:
    """Its counts stay there. Nothing is subtracted from this server's own counts."""
    storage = Brittle()
    share(storage)
    counts = made(rate_limit_storage_url=SHARED)
    with counts.attempt("ann", HERE, failure=WrongError):
        storage.broken = True
    assert [fail(counts) for _ in range(4)] == ["wrong"] * 3 + ["refused"]
    storage.broken = False
    clock.go_on(seconds=6)
    assert [fail(counts) for _ in range(3)] == ["wrong", "wrong", "refused"]


def test_redis_without_its_client_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ValueError, match=r"RATE_LIMIT_STORAGE_URL: install its client: pip install"):
        made(rate_limit_storage_url=SHARED)


@pytest.mark.parametrize("url", ["", "memory", "memory://x", "async+redis://host", "mongodb://host", "http://host"])
def test_another_storage_stops_the_start(url: str) -> None:
    """Only this process's memory and Redis are supported."""
    with pytest.raises(ValidationError, match="rate_limit_storage_url"):
        Settings(rate_limit_storage_url=url)
