"""Callers, signed tokens and password hashes. The cryptography is PyJWT's and bcrypt's.

Must not know how accounts are stored; `rowhouse.auth` does.
"""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from typing import Any

import bcrypt
import jwt
from jwt.types import Options

from rowhouse.core.clock import now
from rowhouse.core.errors import NotAuthenticatedError

ALGORITHM = "HS256"
ISSUER = "rowhouse"
NOT_IN_FORCE = "The access token is not valid or has expired; sign in again."
MAX_PASSWORD_BYTES = 72
REMEMBERED_TOKENS = 4096
# PyJWT would use the time of the operating system; `_is_in_force` uses the application's clock.
OWN_CLOCK: Options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}


@dataclass(frozen=True, slots=True)
class Caller:
    """The account behind a request: its id, its role, and whether it is an administrator.

    Example:
        caller = Caller(id=7, role="driver")
    """

    id: Any
    role: str
    is_admin: bool = False


def bearer_token(authorization: str) -> str:
    """Return the token of an `Authorization` header (RFC 6750 §2.1).

    Raises:
        NotAuthenticatedError: 401 for another scheme or none.
    """
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticatedError
    return token.strip()


def sign(claims: Mapping[str, Any], *, kind: str, secret: str) -> str:
    """Return a signed JWT of one `kind` that does not expire, for values that clients send back, such as a cursor."""
    return jwt.encode({**claims, "iss": ISSUER, "typ": kind}, secret, algorithm=ALGORITHM)


def verify(token: str, *, kind: str, secret: str) -> dict[str, Any]:
    """Return the claims of a token that `sign` has made for the same `kind`.

    Raises:
        NotAuthenticatedError: 401 for any other token.
    """
    return _decode(token, kind=kind, secret=secret, required=("iss", "typ"))


def encode_token(claims: Mapping[str, Any], *, kind: str, secret: str, lifetime: timedelta) -> str:
    """Return a signed JWT of one `kind` ("access"), valid for `lifetime` from now (RFC 7519)."""
    issued_at = now()
    standard = {"iss": ISSUER, "typ": kind, "iat": issued_at, "nbf": issued_at, "exp": issued_at + lifetime}
    return jwt.encode({**claims, **standard}, secret, algorithm=ALGORITHM)


def decode_token(token: str, *, kind: str, secret: str) -> dict[str, Any]:
    """Return the claims of a genuine token of this `kind` that is in force.

    Raises:
        NotAuthenticatedError: 401 for any other token, without the reason (RFC 6750 §3.1).
    """
    claims = dict(_genuine(token, kind=kind, secret=secret))
    if not _is_in_force(claims):
        raise NotAuthenticatedError(NOT_IN_FORCE)
    return claims


@lru_cache(maxsize=REMEMBERED_TOKENS)
def _genuine(token: str, *, kind: str, secret: str) -> Mapping[str, Any]:
    """Return the claims of a genuine token, whatever the time.

    Cached, because a client sends the same token for minutes. Only genuine tokens are cached: a rejection is an
    exception. The time and the account can change, so every request checks them.
    """
    return _decode(token, kind=kind, secret=secret, required=("iss", "typ", "iat", "nbf", "exp", "sub"))


def _is_in_force(claims: Mapping[str, Any]) -> bool:
    """Return True if a token is valid now. Its limits are whole seconds (RFC 7519 §4.1.4 to §4.1.6)."""
    issued_at, start, end = claims["iat"], claims["nbf"], claims["exp"]
    if not all(type(instant) is int for instant in (issued_at, start, end)):
        return False
    return bool(max(issued_at, start) <= now().timestamp() < end)


def _decode(token: str, *, kind: str, secret: str, required: Sequence[str]) -> dict[str, Any]:
    try:
        options: Options = {**OWN_CLOCK, "require": list(required)}
        claims: dict[str, Any] = jwt.decode(token, secret, algorithms=[ALGORITHM], issuer=ISSUER, options=options)
    except jwt.InvalidTokenError as error:
        raise NotAuthenticatedError(NOT_IN_FORCE) from error
    if claims["typ"] != kind:
        raise NotAuthenticatedError("This is not a token of the required kind.")
    return claims


def hash_password(password: str, *, cost: int) -> str:
    """Return the bcrypt hash of a password of at most 72 bytes. `cost` is the binary logarithm of the rounds.

    Example:
        user.hashed_password = hash_password("correct-horse", cost=settings.bcrypt_cost)
    """
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(cost)).decode()


def verify_password(password: str, hashed: str, *, cost: int = 0) -> bool:
    """Return True if `hashed` is the hash of `password`. A password over 72 bytes matches nothing.

    Example:
        if not verify_password(password, user.hashed_password):
            raise NotAuthenticatedError

    It takes as long as a hash of `cost` does, also where `hashed` has a lower cost.
    """
    encoded = password.encode()
    if len(encoded) > MAX_PASSWORD_BYTES:
        return False
    matches = bcrypt.checkpw(encoded, hashed.encode())
    for missing in range(cost_of(hashed), cost):
        # 2^a + 2^a + 2^(a+1) + ... + 2^(c-1) = 2^c: together with the check, the rounds of the cost.
        bcrypt.checkpw(encoded, f"{hashed[:4]}{missing:02}{hashed[6:]}".encode())
    return matches


def verify_and_hash(password: str, hashed: str, new: str, *, cost: int) -> str | None:
    """Return the hash of a new password if `hashed` is the hash of `password`, else None.

    Both are computed at once, so that a change of the password takes as long as a login where two cores are free.
    """
    with ThreadPoolExecutor(1, "hashing_aside") as aside:
        made = aside.submit(hash_password, new, cost=cost)
        return made.result() if verify_password(password, hashed) else None


def cost_of(hashed: str) -> int:
    """Return the binary logarithm of the rounds of a hash."""
    return int(hashed[4:6])


def new_opaque_token() -> str:
    """Return 256 random bits as text, safe in a URL, for tokens that are looked up in the database."""
    return secrets.token_urlsafe(32)


def fingerprint(token: str) -> str:
    """Return the SHA-256 of an opaque token in hex. Only this is stored, so a stolen database contains no token."""
    return hashlib.sha256(token.encode()).hexdigest()
