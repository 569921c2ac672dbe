"""Counts requests and failures: in this process, or in Redis or Valkey for several servers.

While the shared storage does not respond, each server counts alone. No request fails because of it. Must not know the
meaning of a count, nor the limits. See docs/decisions/0010 and 0018.
"""

import ipaddress
from datetime import datetime, timedelta
from typing import Any

import structlog
from limits.aio.storage import Storage as AsyncStorage
from limits.errors import ConfigurationError, StorageError
from limits.storage import Storage, storage_from_string

from rowhouse.core.clock import now
from rowhouse.core.error_causes import cause_of

NETWORK_BITS = 64
IN_MEMORY = "memory://"
# A storage that hangs must not make requests hang, and not every request may try it.
STORAGE_SECONDS = 0.5
RETRY_AFTER = timedelta(seconds=5)
log = structlog.get_logger("counting")


def network_of(address: str) -> str:
    """Return the network that counts as one address: the first 64 bits of an IPv6 address, which one customer has.

    Return text that is not an address as it is.
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), NETWORK_BITS), strict=False))


class Outage:
    """An outage of a shared storage. While it lasts, one request in five seconds tries the storage again.

    Logs the begin and the end of an outage, once each.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._retry_at: datetime | None = None

    def lasts(self) -> bool:
        """Return True if this server must count alone.

        After a pause, the first caller gets False and tries the storage.
        """
        if self._retry_at is None:
            return False
        if now() < self._retry_at:
            return True
        self._retry_at = now() + RETRY_AFTER
        return False

    def begin(self, error: Exception) -> None:
        """Record that the storage did not respond."""
        if self._retry_at is None:
            cause = error.storage_error if isinstance(error, StorageError) else error
            sentence = "each server counts alone: RATE_LIMIT_STORAGE_URL does not respond"
            log.warning(sentence, counted=self._what, error=type(cause).__name__, **cause_of(cause))
        self._retry_at = now() + RETRY_AFTER

    def end(self) -> None:
        """Record that the storage responded."""
        if self._retry_at is not None:
            self._retry_at = None
            log.warning("all servers count together again", counted=self._what)


def shared_storage(url: str) -> Storage | None:
    """Return the storage at `RATE_LIMIT_STORAGE_URL`, for threads. None for the memory of this process.

    Raises:
        ValueError: at start-up, if its client is not installed.
    """
    if url == IN_MEMORY:
        return None
    found: Storage = _storage(url, wrap_exceptions=True)
    return found


def shared_async_storage(url: str) -> AsyncStorage | None:
    """Return the same, for the event loop that runs at its first use.

    Raises:
        ValueError: at start-up, if its client is not installed.
    """
    if url == IN_MEMORY:
        return None
    found: AsyncStorage = _storage(f"async+{url}", wrap_exceptions=True, implementation="redispy")
    return found


def _storage(url: str, **options: Any) -> Any:
    try:
        return storage_from_string(
            url, socket_timeout=STORAGE_SECONDS, socket_connect_timeout=STORAGE_SECONDS, **options
        )
    except ConfigurationError as error:
        fix = "install its client: pip install -r scripts/requirements/redis.txt"
        raise ValueError(f"RATE_LIMIT_STORAGE_URL: {fix}") from error
