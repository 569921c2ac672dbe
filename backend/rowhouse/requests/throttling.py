"""Slows down whoever guesses or signs up without end: past a bound an attempt is refused before anything is computed.

An attempt is counted before it is judged and given back when it did not fail, so that of a burst no more than the bound
get through; a sign-up is counted whatever comes of it. Must not know what an account is: a subject is whatever text
somebody claims to be. See docs/decisions/0010 and 0018.
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
from rowhouse.core.counters import Outage, network_of, shared_storage
from rowhouse.core.errors import RowhouseError, TooManyAttemptsError, TooManySignUpsError
from rowhouse.core.security import fingerprint
from rowhouse.core.settings import Settings

# An address that somebody succeeded from is theirs for so long: what others fail at, there or elsewhere, does not hold them up there.
FAMILIAR = RateLimitItemPerDay(1, 30)
SIGN_UP = "sign-up"
T = TypeVar("T")
# Of a subject's fingerprint in the log: enough to tell accounts apart.
SHOWN = 16
log = structlog.get_logger("slowdown")


class _Count(NamedTuple):
    """A bound, and what is counted against it."""

    bound: RateLimitItem
    key: tuple[str, ...]


class AttemptThrottle:
    """The bounds of the settings, and the counts against them; one an application."""

    def __init__(self, settings: Settings) -> None:
        minutes = settings.login_failure_minutes
        self._from_here = RateLimitItemPerMinute(settings.login_failures_per_account, minutes)
        self._everywhere = RateLimitItemPerMinute(settings.login_failures_per_account_everywhere, minutes)
        self._per_address = RateLimitItemPerMinute(settings.login_failures_per_address, minutes)
        self._sign_ups = RateLimitItemPerMinute(settings.sign_ups_per_address, settings.sign_up_minutes)
        self._own = FixedWindowRateLimiter(MemoryStorage())
        storage = shared_storage(settings.rate_limit_storage_url)
        self._shared = None if storage is None else FixedWindowRateLimiter(storage)
        self._outage = Outage("failed logins and sign-ups")
        # The library's memory is not exact without it; with Redis, it orders only this process's few hashing threads.
        self._lock = threading.Lock()

    @contextmanager
    def attempt(self, subject: str, address: str, *, failure: type[RowhouseError]) -> Iterator[None]:
        """Count what happens within against `subject` and `address` if it ends in a `failure`; a success forgives those of the two.

        Raises:
            TooManyAttemptsError: 429 when a bound is reached; then nothing within was done, and nothing is counted.
        """
        person, network = fingerprint(subject), network_of(address)
        try:
            limiter, taken = self._take(lambda limiter: self._take_attempt(limiter, person, network))
        except TooManyAttemptsError:
            log.warning("attempt refused: too many failures", client=address, subject=person[:SHOWN])
            raise
        succeeded = failed = False
        try:
            yield
            succeeded = True
        except failure as error:
            failed = True
            log.warning("attempt failed", client=address, subject=person[:SHOWN], error=error.code)
            raise
        finally:
            if not failed:
                self._give_back_attempt(
                    limiter, taken, familiar=_Count(FAMILIAR, (person, network)) if succeeded else None
                )

    def count_sign_up(self, address: str) -> None:
        """Count a sign-up from `address`; call it before the password is hashed.

        Raises:
            TooManySignUpsError: 429 when the bound is reached; then nothing is counted.
        """
        count = _Count(self._sign_ups, (SIGN_UP, network_of(address)))
        self._take(lambda limiter: self._take_all(limiter, [count], refusal=TooManySignUpsError))

    def _take(self, take: Callable[[FixedWindowRateLimiter], T]) -> tuple[FixedWindowRateLimiter, T]:
        """Do `take` where it is counted now; where that was, and what it gave."""
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
        if limiter.test(FAMILIAR, person, network):
            wanted += [_Count(self._per_address, (network,)), _Count(self._everywhere, (person,))]
        return self._take_all(limiter, wanted, refusal=TooManyAttemptsError)

    def _take_all(
        self, limiter: FixedWindowRateLimiter, wanted: list[_Count], *, refusal: type[TooManyAttemptsError]
    ) -> list[_Count]:
        """Count against each bound, or against none and raise the refusal."""
        taken = []
        for count in wanted:
            taken.append(count)
            if not limiter.hit(count.bound, *count.key):
                until = limiter.get_window_stats(count.bound, *count.key).reset_time
                _give_back(limiter, taken)
                raise refusal(_wait(until, count.bound))
        return taken

    def _give_back_attempt(
        self, limiter: FixedWindowRateLimiter, taken: list[_Count], *, familiar: _Count | None
    ) -> None:
        """Give an attempt back; a success forgives the failures before it and makes the place familiar."""
        try:
            with self._lock:
                _give_back(limiter, taken)
                if familiar is not None:
                    limiter.clear(self._from_here, *familiar.key)
                    limiter.clear(FAMILIAR, *familiar.key)
                    limiter.hit(FAMILIAR, *familiar.key)
        except StorageError as error:
            self._outage.begin(error)

    def _limiter(self) -> FixedWindowRateLimiter:
        return self._own if self._shared is None or self._outage.lasts() else self._shared


def _wait(until: float, bound: RateLimitItem) -> int:
    """Whole seconds until an instant: at least 1, at most the bound's window, however the clocks of servers differ."""
    return min(max(1, math.ceil(until - now().timestamp())), bound.get_expiry())


def _give_back(limiter: FixedWindowRateLimiter, taken: list[_Count]) -> None:
    for count in taken:
        limiter.hit(count.bound, *count.key, cost=-1)


@dataclass(frozen=True, slots=True)
class ThrottledAttempts:
    """The attempts of one request's client."""

    throttle: AttemptThrottle
    address: str

    def of(self, subject: str, *, failure: type[RowhouseError]) -> AbstractContextManager[None]:
        """As `AttemptThrottle.attempt`, from this client's address."""
        return self.throttle.attempt(subject, self.address, failure=failure)

    def sign_up(self) -> None:
        """As `AttemptThrottle.count_sign_up`, from this client's address."""
        self.throttle.count_sign_up(self.address)
