"""Slows down whoever guesses: failures are counted, and past a bound an attempt is refused before anything is computed.

An attempt is counted before it is judged and given back when it did not fail, so that of a burst no more than the bound get
through. Counts live in this process, or in Redis for several servers; while Redis is out, each server counts by itself.
Must not know what an account is: a subject is whatever text somebody claims to be. See docs/decisions/0010.
"""

import ipaddress
import math
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from backend.core.config import Settings
from backend.core.errors import RowhouseError, TooManyAttemptsError
from backend.core.security import fingerprint
from backend.core.time import now

# An address that somebody succeeded from is theirs for so long: what others fail at, there or elsewhere, does not hold them up there.
FAMILIAR = RateLimitItemPerDay(1, 30)
NETWORK_BITS = 64
IN_MEMORY = "memory://"
# A storage that hangs must not make logins hang, nor be asked by each of them.
STORAGE_SECONDS = 0.5
REST = timedelta(seconds=5)
SECONDS_PER_MINUTE = 60
log = structlog.get_logger("slowdown")


class _Count(NamedTuple):
    """A bound, and what is counted against it."""

    bound: RateLimitItem
    key: tuple[str, ...]


def network_of(address: str) -> str:
    """What is counted as one address: of IPv6 the first 64 bits, for a customer has that many; what is no address is itself."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), NETWORK_BITS), strict=False))


class Slowdown:
    """The bounds of the settings, and the counts against them; one an application."""

    def __init__(self, settings: Settings) -> None:
        minutes = settings.login_failure_minutes
        self._from_here = RateLimitItemPerMinute(settings.login_failures_per_account, minutes)
        self._everywhere = RateLimitItemPerMinute(settings.login_failures_per_account_everywhere, minutes)
        self._per_address = RateLimitItemPerMinute(settings.login_failures_per_address, minutes)
        self._longest_wait = minutes * SECONDS_PER_MINUTE
        self._own = FixedWindowRateLimiter(MemoryStorage())
        self._shared = _shared_storage(settings.rate_limit_storage_url)
        self._rests_until: datetime | None = None
        # The library's memory is not exact without it; with Redis, it orders only this process's few hashing threads.
        self._turn = threading.Lock()

    @contextmanager
    def attempt(self, subject: str, address: str, *, failure: type[RowhouseError]) -> Iterator[None]:
        """Count what happens within against `subject` and `address` if it ends in a `failure`; a success forgives those of the two.

        Raises:
            TooManyAttemptsError: 429 when a bound is reached; then nothing within was done, and nothing is counted.
        """
        person, network = fingerprint(subject), network_of(address)
        limiter, taken = self._take(person, network)
        succeeded = failed = False
        try:
            yield
            succeeded = True
        except failure:
            failed = True
            raise
        finally:
            if not failed:
                self._settle(limiter, taken, familiar=_Count(FAMILIAR, (person, network)) if succeeded else None)

    def _take(self, person: str, network: str) -> tuple[FixedWindowRateLimiter, list[_Count]]:
        """Count an attempt; where that was done, and what was counted."""
        limiter = self._limiter()
        try:
            with self._turn:
                return limiter, self._count(limiter, person, network)
        except StorageError as error:
            self._let_rest(error)
        with self._turn:
            return self._own, self._count(self._own, person, network)

    def _count(self, limiter: FixedWindowRateLimiter, person: str, network: str) -> list[_Count]:
        wanted = [_Count(self._from_here, (person, network))]
        if limiter.test(FAMILIAR, person, network):
            wanted += [_Count(self._per_address, (network,)), _Count(self._everywhere, (person,))]
        taken = []
        for count in wanted:
            taken.append(count)
            if not limiter.hit(count.bound, *count.key):
                until = limiter.get_window_stats(count.bound, *count.key).reset_time
                _give_back(limiter, taken)
                raise TooManyAttemptsError(self._wait(until))
        return taken

    def _wait(self, until: float) -> int:
        return min(max(1, math.ceil(until - now().timestamp())), self._longest_wait)

    def _settle(self, limiter: FixedWindowRateLimiter, taken: list[_Count], *, familiar: _Count | None) -> None:
        """Give an attempt back; a success forgives the failures before it and makes the place familiar."""
        try:
            with self._turn:
                _give_back(limiter, taken)
                if familiar is not None:
                    limiter.clear(self._from_here, *familiar.key)
                    limiter.clear(FAMILIAR, *familiar.key)
                    limiter.hit(FAMILIAR, *familiar.key)
        except StorageError as error:
            self._let_rest(error)

    def _limiter(self) -> FixedWindowRateLimiter:
        rests = self._rests_until is not None and now() < self._rests_until
        return self._own if self._shared is None or rests else self._shared

    def _let_rest(self, error: StorageError) -> None:
        self._rests_until = now() + REST
        kind = type(error.storage_error).__name__
        log.warning("failures are counted by each server alone: RATE_LIMIT_STORAGE_URL does not answer", error=kind)


def _give_back(limiter: FixedWindowRateLimiter, taken: list[_Count]) -> None:
    for count in taken:
        limiter.hit(count.bound, *count.key, cost=-1)


def _shared_storage(url: str) -> FixedWindowRateLimiter | None:
    if url == IN_MEMORY:
        return None
    patience = {"socket_timeout": STORAGE_SECONDS, "socket_connect_timeout": STORAGE_SECONDS}
    try:
        return FixedWindowRateLimiter(storage_from_string(url, wrap_exceptions=True, **patience))
    except ConfigurationError as error:
        mend = "install its client: pip install -r scripts/requirements/redis.txt"
        raise ValueError(f"RATE_LIMIT_STORAGE_URL: {mend}") from error


@dataclass(frozen=True, slots=True)
class Attempts:
    """The attempts of one request's client."""

    slowdown: Slowdown
    address: str

    def of(self, subject: str, *, failure: type[RowhouseError]) -> AbstractContextManager[None]:
        """As `Slowdown.attempt`, from this client's address."""
        return self.slowdown.attempt(subject, self.address, failure=failure)
