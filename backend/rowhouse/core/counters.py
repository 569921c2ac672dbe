"""Where requests and failures are counted: in this process, or in Redis or Valkey for several servers.

While the shared storage does not answer, each server counts alone. No request fails because of it. Must not know what
is counted, nor against which bound. See docs/decisions/0010 and 0018.
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
# A storage that hangs must not make requests hang, nor be asked by each of them.
STORAGE_SECONDS = 0.5
REST = timedelta(seconds=5)
log = structlog.get_logger("counting")


def network_of(address: str) -> str:
    """Return what is counted as one address: of IPv6 the first 64 bits, for a customer has that many.

    A text that is no address is returned as it is.
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
    """Whether a shared storage is out. While it is, one request in five seconds asks it again.

    The log tells the begin and the end of an outage, once each.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._rests_until: datetime | None = None

    def lasts(self) -> bool:
        """Whether to count alone. Of those who ask after a rest, the first is told to try the storage."""
        if self._rests_until is None:
            return False
        if now() < self._rests_until:
            return True
        self._rests_until = now() + REST
        return False

    def begin(self, error: Exception) -> None:
        """The storage did not answer."""
        if self._rests_until is None:
            cause = error.storage_error if isinstance(error, StorageError) else error
            sentence = "each server counts alone: RATE_LIMIT_STORAGE_URL does not answer"
            log.warning(sentence, counted=self._what, error=type(cause).__name__, **cause_of(cause))
        self._rests_until = now() + REST

    def end(self) -> None:
        """The storage answered."""
        if self._rests_until is not None:
            self._rests_until = None
            log.warning("all servers count together again", counted=self._what)


def shared_storage(url: str) -> Storage | None:
    """The storage that `RATE_LIMIT_STORAGE_URL` names, for threads; None for this process's memory.

    Raises:
        ValueError: at start-up, when its client is not installed.
    """
    if url == IN_MEMORY:
        return None
    found: Storage = _storage(url, wrap_exceptions=True)
    return found


def shared_async_storage(url: str) -> AsyncStorage | None:
    """The same, for the event loop that is running when it is first asked.

    Raises:
        ValueError: at start-up, when its client is not installed.
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
        mend = "install its client: pip install -r scripts/requirements/redis.txt"
        raise ValueError(f"RATE_LIMIT_STORAGE_URL: {mend}") from error
