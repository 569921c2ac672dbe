"""The rules of accounts and sessions. Knows nothing of HTTP.

One atomic statement spends a refresh token, so that only one of two copies succeeds. The other counts as a client's
retry within a short grace period, and as theft after it, which revokes the whole family (RFC 9700 §4.14.2).
"""

import unicodedata
from collections.abc import Collection
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import sqlalchemy as sa
import structlog
from sqlmodel import Session, col, select

from rowhouse.auth.errors import AccountDisabledError, RefreshTokenError, WrongCredentialsError, WrongPasswordError
from rowhouse.auth.models import ADMINISTRATOR, RefreshToken, User
from rowhouse.core.clock import now
from rowhouse.core.errors import DuplicateError, NotAuthenticatedError, PreconditionFailedError
from rowhouse.core.security import (
    decode_token,
    encode_token,
    fingerprint,
    hash_password,
    new_opaque_token,
    verify_and_hash,
    verify_password,
)
from rowhouse.core.settings import Settings
from rowhouse.crud.entity_tags import version_tag
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.metrics.layout import HASH_SECONDS, HASHES
from rowhouse.metrics.recorder import Stopwatch
from rowhouse.requests.throttling import ThrottledAttempts

ACCESS = "access"
SIGMA, FINAL_SIGMA = "\u03c3", "\u03c2"
log = structlog.get_logger("auth")

accounts: sa.Table = User.__table__  # type: ignore[attr-defined]  # SQLAlchemy sets it on mapped classes
_tokens: sa.Table = RefreshToken.__table__  # type: ignore[attr-defined]  # as above
SELECT_LOGIN = sa.select(
    accounts.c.id, accounts.c.hashed_password, accounts.c.is_active, accounts.c.token_version
).where(accounts.c.email == sa.bindparam("login_email", type_=sa.String()))
SELECT_PASSWORD = sa.select(accounts.c.email, accounts.c.hashed_password, accounts.c.token_version).where(
    accounts.c.id == sa.bindparam("caller_id", type_=sa.Integer())
)
# At each login and refresh, of each kind. One token is added meanwhile, so a backlog shrinks.
REMOVED_AT_ONCE = 100
# A refresh that ran while its family was revoked may have stored a token a moment later.
UNDER_WAY = timedelta(hours=1)
# A hash for each cost that no known password matches.
_dummy_hashes: dict[int, str] = {}


def normalise_email(email: str) -> str:
    """Return an address in lower case and in Unicode NFC, so that equal addresses compare equal.

    Python writes a sigma at the end of a word in another way than elsewhere, which would make two addresses of one.
    """
    return unicodedata.normalize("NFC", email.strip().lower()).replace(FINAL_SIGMA, SIGMA)


def subject_of(token: str, *, settings: Settings) -> str | None:
    """Return the id of the account of an access token, or None for an invalid or expired token.

    Does not query the database.
    """
    try:
        claims = decode_token(token, kind=ACCESS, secret=settings.jwt_secret.get_secret_value())
    except NotAuthenticatedError:
        return None
    return str(claims["sub"])


def sign_up(session: Session, user: User) -> User:
    """Store a new account.

    Raises:
        DuplicateError: 409 when the address is taken.
    """
    session.add(user)
    session.flush()
    session.refresh(user)
    return user


def log_in(
    unit: UnitOfWork, email: str, password: str, *, attempts: ThrottledAttempts, settings: Settings
) -> tuple[str, str]:
    """Start a session. Return its access token and its refresh token.

    Raises:
        WrongCredentialsError: 401, also if the password was changed during the check.
        AccountDisabledError: 403, only with the right password.
        TooManyAttemptsError: 429 after too many failures, whether the address is known or not.
    """
    with attempts.of(normalise_email(email), failure=WrongCredentialsError):
        user_id, version = check_password(unit, email, password, settings=settings)
    user = _locked_user(unit.session, user_id)
    if user is None or user.token_version != version:
        raise WrongCredentialsError
    access_token = issue_access_token(user_id, version, settings=settings)
    return access_token, issue_refresh_token(unit.session, user, family=None, settings=settings)


def check_password(unit: UnitOfWork, email: str, password: str, *, settings: Settings) -> tuple[int, int]:
    """Return the id and the token version of an account. Takes the same time for unknown addresses.

    Raises:
        WrongCredentialsError: 401.
        AccountDisabledError: 403, only with the right password.
    """
    # No address contains NUL, and PostgreSQL rejects it in a query.
    rows = [] if "\x00" in email else unit.fetch(SELECT_LOGIN, {"login_email": normalise_email(email)})
    dummy = _dummy_hash(settings.bcrypt_cost)
    hashed = rows[0]["hashed_password"] if rows else dummy
    with Stopwatch(unit.database.metrics, HASHES, HASH_SECONDS):
        matches = verify_password(password, hashed, cost=settings.bcrypt_cost)
    if not matches or not rows:
        raise WrongCredentialsError
    if not rows[0]["is_active"]:
        raise AccountDisabledError
    return rows[0]["id"], rows[0]["token_version"]


def _dummy_hash(cost: int) -> str:
    if cost not in _dummy_hashes:
        _dummy_hashes[cost] = hash_password(new_opaque_token(), cost=cost)
    return _dummy_hashes[cost]


def issue_access_token(user_id: int, token_version: int, *, settings: Settings) -> str:
    """Return an access token for an account."""
    return encode_token(
        {"sub": str(user_id), "ver": token_version},
        kind=ACCESS,
        secret=settings.jwt_secret.get_secret_value(),
        lifetime=timedelta(minutes=settings.access_token_minutes),
    )


def issue_refresh_token(session: Session, user: User, *, family: UUID | None, settings: Settings) -> str:
    """Return a new refresh token of `family`, or of a new family. Only its fingerprint is stored."""
    token = new_opaque_token()
    stored = RefreshToken(
        user_id=user.id or 0,
        token_version=user.token_version,
        family=family or uuid4(),
        fingerprint=fingerprint(token),
        expires_at=now() + timedelta(days=settings.refresh_token_days),
    )
    session.add(stored)
    session.flush()
    remove_useless_tokens(session, settings=settings)
    return token


def _first_tokens(by: sa.Column[Any], *conditions: sa.ColumnElement[bool]) -> sa.Select[tuple[int]]:
    """Select the ids of a limited number of tokens that no other transaction locks, in the order of the index."""
    found = sa.select(_tokens.c.id).where(*conditions).order_by(by).limit(REMOVED_AT_ONCE)
    return sa.select(found.with_for_update(skip_locked=True).subquery().c.id)


def _before(column: sa.Column[Any], name: str) -> sa.ColumnElement[bool]:
    return column < sa.bindparam(name, type_=column.type)


_expired = _tokens.c.revoked_at.is_(None), _before(_tokens.c.expires_at, "expired_before")
DELETE_USELESS_TOKENS = sa.delete(_tokens).where(
    _tokens.c.id.in_(
        sa.union_all(
            _first_tokens(_tokens.c.expires_at, *_expired),
            _first_tokens(_tokens.c.revoked_at, _before(_tokens.c.revoked_at, "revoked_before")),
        )
    )
)


def remove_useless_tokens(session: Session, *, settings: Settings) -> None:
    """Delete a limited number of expired tokens, and of revoked tokens whose whole family has expired.

    A revoked token is kept until then. It shows that its family is revoked, also for a token that a refresh stored
    during the revocation (see `_is_revoked`).
    """
    present = now()
    lifetime = timedelta(days=settings.refresh_token_days)
    session.execute(
        DELETE_USELESS_TOKENS, {"expired_before": present, "revoked_before": present - lifetime - UNDER_WAY}
    )


def spend_refresh_token(session: Session, token: str, *, settings: Settings) -> RefreshToken:
    """Mark a token as used, and return it.

    Raises:
        RefreshTokenError: 401. A token that is used again after the grace period revokes its family.
    """
    digest = fingerprint(token)
    claim = (
        sa.update(RefreshToken)
        .where(col(RefreshToken.fingerprint) == digest, col(RefreshToken.used_at).is_(None))
        .values(used_at=now())
    )
    claimed = session.exec(claim).rowcount == 1
    stored = session.exec(select(RefreshToken).where(RefreshToken.fingerprint == digest)).one_or_none()
    if stored is None or stored.expires_at <= now() or _is_revoked(session, stored.family):
        raise RefreshTokenError
    grace = timedelta(seconds=settings.refresh_grace_seconds)
    if not claimed and stored.used_at is not None and now() - stored.used_at > grace:
        revoke_family(session, stored.family)
        log.warning("refresh token reuse", user_id=stored.user_id, family=str(stored.family))
        raise RefreshTokenError("This refresh token was used before; every session that came from it has ended.")
    return stored


def _is_revoked(session: Session, family: UUID) -> bool:
    """Return True if a family is revoked, also for a token that a refresh stored during the revocation."""
    revoked = select(RefreshToken.id).where(RefreshToken.family == family, col(RefreshToken.revoked_at).is_not(None))
    return session.exec(revoked.limit(1)).first() is not None


def revoke_family(session: Session, family: UUID) -> None:
    """End every session of one login."""
    session.exec(
        sa.update(RefreshToken)
        .where(col(RefreshToken.family) == family, col(RefreshToken.revoked_at).is_(None))
        .values(revoked_at=now())
    )


def log_out(session: Session, token: str) -> None:
    """Revoke the family of a refresh token. Ignore an unknown token."""
    stored = session.exec(select(RefreshToken).where(RefreshToken.fingerprint == fingerprint(token))).one_or_none()
    if stored is not None:
        revoke_family(session, stored.family)


def change_name(session: Session, user_id: int, full_name: str, *, tags: Collection[str] | None = None) -> User:
    """Change the name on an account. With `tags`, its version must be one of them, or one is `*`.

    Raises:
        PreconditionFailedError: 412 if the account has changed since the client read it.
    """
    user = active_user(session, user_id)
    if tags is not None:
        session.refresh(user, with_for_update={"key_share": True})
        if "*" not in tags and version_of(user) not in tags:
            raise PreconditionFailedError
    user.full_name, user.updated_at = full_name, now()
    session.flush()
    return user


def check_own_password(
    unit: UnitOfWork, user_id: int, password: str, *, new: str, attempts: ThrottledAttempts
) -> tuple[int, str]:
    """Check the present password. Return the account's token version and the hash of the new password.

    Attempts are throttled as at the login, so a stolen token does not allow faster guesses.

    Raises:
        NotAuthenticatedError: 401 if the account does not exist any more.
        WrongPasswordError: 403.
        TooManyAttemptsError: 429 after too many failures, here or at the login.
    """
    rows = unit.fetch(SELECT_PASSWORD, {"caller_id": user_id})
    if not rows:
        raise NotAuthenticatedError
    with attempts.of(rows[0]["email"], failure=WrongPasswordError):
        with Stopwatch(unit.database.metrics, HASHES, HASH_SECONDS):
            hashed = verify_and_hash(password, rows[0]["hashed_password"], new, cost=unit.settings.bcrypt_cost)
        if hashed is None:
            raise WrongPasswordError
    return rows[0]["token_version"], hashed


def change_password(session: Session, user_id: int, hashed_password: str, *, version: int) -> None:
    """Store the new hash and end every session, including access tokens.

    Raises:
        NotAuthenticatedError: 401 if the password has changed since the check, which saw `version`.
    """
    user = session.get(User, user_id, with_for_update={"key_share": True})
    if user is None or user.token_version != version:
        raise NotAuthenticatedError("The password was changed meanwhile; sign in again.")
    user.hashed_password, user.updated_at = hashed_password, now()
    user.token_version += 1
    session.flush()
    mine = sa.update(RefreshToken).where(col(RefreshToken.user_id) == user_id, col(RefreshToken.revoked_at).is_(None))
    session.exec(mine.values(revoked_at=now()))


def rotate(session: Session, token: str, *, settings: Settings) -> tuple[str, str]:
    """Spend a refresh token. Return a new access token and a new refresh token.

    Raises:
        RefreshTokenError: 401.
        AccountDisabledError: 403.
    """
    spent = spend_refresh_token(session, token, settings=settings)
    user = _locked_user(session, spent.user_id)
    if user is None or user.token_version != spent.token_version:
        raise RefreshTokenError
    access_token = issue_access_token(spent.user_id, spent.token_version, settings=settings)
    return access_token, issue_refresh_token(session, user, family=spent.family, settings=settings)


def _locked_user(session: Session, user_id: int) -> User | None:
    """Return the account in its present state, locked against deletion until the transaction ends.

    Does not wait for a change of its password, which would deadlock. The issued token has the version from before the
    change, so the change invalidates it.

    Raises:
        AccountDisabledError: 403.
    """
    user = session.get(User, user_id, with_for_update={"read": True, "key_share": True})
    if user is not None and not user.is_active:
        raise AccountDisabledError
    return user


def version_of(user: User) -> str:
    """Return the entity tag of an account, as `/users/{id}` has it."""
    return version_tag({"updated_at": user.updated_at})


def active_user(session: Session, user_id: int) -> User:
    """Return an account that exists and is enabled.

    Raises:
        NotAuthenticatedError: 401 if it does not exist any more.
        AccountDisabledError: 403.
    """
    user = session.get(User, user_id)
    if user is None:
        raise NotAuthenticatedError
    if not user.is_active:
        raise AccountDisabledError
    return user


def ensure_administrator(unit: UnitOfWork, *, settings: Settings) -> None:
    """At the first start, create the account of `ADMIN_EMAIL` and `ADMIN_PASSWORD`."""
    if settings.admin_email is None or settings.admin_password is None:
        return
    email = normalise_email(settings.admin_email)
    if unit.fetch(SELECT_LOGIN, {"login_email": email}):
        return
    hashed = hash_password(settings.admin_password.get_secret_value(), cost=settings.bcrypt_cost)
    user = User(email=email, full_name="Administrator", role=ADMINISTRATOR, hashed_password=hashed)
    try:
        with unit.session.begin_nested():
            sign_up(unit.session, user)
    except (sa.exc.IntegrityError, DuplicateError):
        log.info("administrator created by another process")
