"""Throttles failed logins and sign-ups: past a limit, an attempt is rejected before its password is hashed.

An attempt is counted before it is checked and given back unless it failed, so that a burst cannot exceed the limit. A
sign-up is counted whatever its result. Must not know what an account is: a subject is any text that a client sends as
its name. See docs/decisions/0010 and 0018.
"""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import structlog
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from rowhouse.core.clock import now
from rowhouse.core.errors import RowhouseError, TooManyAttemptsError, TooManySignUpsError
from rowhouse.core.security import fingerprint
from rowhouse.core.settings import Settings
from rowhouse.metrics.layout import LOGIN_FAILURES
from rowhouse.metrics.recorder import Metrics
from rowhouse.requests.counters import Outage, network_of, shared_storage

# After a successful login, this account and network are trusted for 30 days: failures of others no longer count against
# them.
TRUSTED = RateLimitItemPerDay(1, 30)
SIGN_UP = "sign-up"
T = TypeVar("T")
# The characters of a subject's fingerprint in the log: enough to distinguish accounts.
SHOWN = 16
log = structlog.get_logger("slowdown")


class _Count(NamedTuple):
    """A limit, and the key that is counted against it."""

    bound: RateLimitItem
    key: tuple[str, ...]


class AttemptThrottle:
    """The limits of the settings, and the counts against them. One for each application."""

    def __init__(self, settings: Settings, *, metrics: Metrics | None = None) -> None:
        self.metrics = metrics
        minutes = settings.login_failure_minutes
        self._from_here = RateLimitItemPerMinute(settings.login_failures_per_account, minutes)
        self._everywhere = RateLimitItemPerMinute(settings.login_failures_per_account_everywhere, minutes)
        self._per_address = RateLimitItemPerMinute(settings.login_failures_per_address, minutes)
        self._sign_ups = RateLimitItemPerMinute(settings.sign_ups_per_address, settings.sign_up_minutes)
        self._own = FixedWindowRateLimiter(MemoryStorage())
        storage = shared_storage(settings.rate_limit_storage_url)
        self._shared = None if storage is None else FixedWindowRateLimiter(storage)
        self._outage = Outage("failed logins and sign-ups")
        # The library's memory storage is not exact without it. With Redis, it serializes only the few hashing threads
        # of this process.
        self._lock = threading.Lock()

    @contextmanager
    def attempt(self, subject: str, address: str, *, failure: type[RowhouseError]) -> Iterator[None]:
        """Count a block that ends with `failure` against `subject` and `address`.

        A success clears their earlier failures.

        Raises:
            TooManyAttemptsError: 429 when a limit is reached. The block does not run, and nothing is counted.
        """
        person, network = fingerprint(subject), network_of(address)
        try:
            limiter, taken = self._take(lambda limiter: self._take_attempt(limiter, person, network))
        except TooManyAttemptsError:
            log.warning("attempt rejected: too many failures", client=address, subject=person[:SHOWN])
            raise
        succeeded = failed = False
        try:
            yield
            succeeded = True
        except failure as error:
            failed = True
            if self.metrics is not None:
                self.metrics.add(LOGIN_FAILURES)
            log.warning("attempt failed", client=address, subject=person[:SHOWN], error=error.code)
            raise
        finally:
            if not failed:
                self._give_back_attempt(
                    limiter, taken, trusted=_Count(TRUSTED, (person, network)) if succeeded else None
                )

    def count_sign_up(self, address: str) -> None:
        """Count a sign-up from `address`. Call it before the password is hashed.

        Raises:
            TooManySignUpsError: 429 when the limit is reached. Nothing is counted then.
        """
        count = _Count(self._sign_ups, (SIGN_UP, network_of(address)))
        self._take(lambda limiter: self._take_all(limiter, [count], refusal=TooManySignUpsError))

    def _take(self, take: Callable[[FixedWindowRateLimiter], T]) -> tuple[FixedWindowRateLimiter, T]:
        """Call `take` with the limiter in use. Return that limiter and the result."""
        limiter = self._limiter()
        try:
            with self._lock:
                taken = take(limiter)
        except StorageError as error:
            self._outage.begin(error)
        else:
            if limiter is self._shared:
                self._outage.end()
            return limiter, taken
        with self._lock:
            return self._own, take(self._own)

    def _take_attempt(self, limiter: FixedWindowRateLimiter, person: str, network: str) -> list[_Count]:
        wanted = [_Count(self._from_here, (person, network))]
        if limiter.test(TRUSTED, person, network):
            wanted += [_Count(self._per_address, (network,)), _Count(self._everywhere, (person,))]
        return self._take_all(limiter, wanted, refusal=TooManyAttemptsError)

    def _take_all(
        self, limiter: FixedWindowRateLimiter, wanted: list[_Count], *, refusal: type[TooManyAttemptsError]
    ) -> list[_Count]:
        """Count against every limit, or against none and raise `refusal`."""
        taken = []
        for count in wanted:
            taken.append(count)
            if not limiter.hit(count.bound, *count.key):
                until = limiter.get_window_stats(count.bound, *count.key).reset_time
                _give_back(limiter, taken)
                raise refusal(_wait(until, count.bound))
        return taken

    def _give_back_attempt(
        self, limiter: FixedWindowRateLimiter, taken: list[_Count], *, trusted: _Count | None
    ) -> None:
        """Give an attempt back. A success also clears earlier failures and makes the network trusted."""
        try:
            with self._lock:
                _give_back(limiter, taken)
                if trusted is not None:
                    limiter.clear(self._from_here, *trusted.key)
                    limiter.clear(TRUSTED, *trusted.key)
                    limiter.hit(TRUSTED, *trusted.key)
        except StorageError as error:
            self._outage.begin(error)

    def _limiter(self) -> FixedWindowRateLimiter:
        return self._own if self._shared is None or self._outage.lasts() else self._shared


def _wait(until: float, bound: RateLimitItem) -> int:
    """Return whole seconds until an instant: at least 1, at most the window, however the clocks of servers differ."""
    return min(max(1, math.ceil(until - now().timestamp())), bound.get_expiry())


def _give_back(limiter: FixedWindowRateLimiter, taken: list[_Count]) -> None:
    for count in taken:
        limiter.hit(count.bound, *count.key, cost=-1)


@dataclass(frozen=True, slots=True)
class ThrottledAttempts:
    """The attempts of one client, for one request."""

    throttle: AttemptThrottle
    address: str

    def of(self, subject: str, *, failure: type[RowhouseError]) -> AbstractContextManager[None]:
        """As `AttemptThrottle.attempt`, from this client's address."""
        return self.throttle.attempt(subject, self.address, failure=failure)

    def sign_up(self) -> None:
        """As `AttemptThrottle.count_sign_up`, from this client's address."""
        self.throttle.count_sign_up(self.address)
