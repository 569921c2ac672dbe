"""`Idempotency-Key`: a repeated creating request gets the stored response again and creates no second row.

The transaction that creates the row also claims the key and stores the response. A copy that arrives at the same time,
on this server or another, waits for the first and gets its response. A server that dies after the commit loses nothing.
Follows the IETF draft `draft-ietf-httpapi-idempotency-key-header`.
"""

import hmac
import re
import threading
from collections.abc import Callable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel, UTCDateTime
from starlette.responses import Response

from rowhouse.core.clock import now
from rowhouse.core.errors import InvalidInputError
from rowhouse.core.openapi import header, response_header
from rowhouse.db.compiled import CompiledStatement
from rowhouse.db.database import Database
from rowhouse.db.sql_functions import portable_text
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.requests.idempotency_quota import LIFETIME, KeyQuota

MAX_OWNER = 600
JSON = "application/json"
KEY = re.compile(r"[\x21-\x7e]{1,255}\Z")
IDEMPOTENCY_KEY = header(
    "Idempotency-Key",
    "Makes the request safe to repeat for 24 hours: the same key and body return the same response again.",
    minLength=1,
    maxLength=255,
    pattern="^[!-~]+$",
)
REPLAYED = response_header(
    "Idempotent-Replayed", "`true` if the response is that of an earlier request.", required=False
)
"""The header `Idempotent-Replayed` in OpenAPI, for a hand-written route that creates something.

Example:
    @router.post("", status_code=201, responses={201: {"headers": {**LOCATED, **REPLAYED}}})
    def place_order(unit: UnitDep, caller: CallerDep) -> OrderPublic: ...
"""

idempotency_keys = sa.Table(
    "idempotency_keys",
    SQLModel.metadata,
    sa.Column("owner", portable_text(MAX_OWNER), primary_key=True),
    sa.Column("key", portable_text(255), primary_key=True),
    sa.Column("fingerprint", portable_text(64), nullable=False),
    sa.Column("status", sa.Integer(), nullable=False),
    sa.Column("headers", sa.JSON(), nullable=False),
    sa.Column("body", sa.LargeBinary(), nullable=False),
    sa.Column("created_at", UTCDateTime(), nullable=False, index=True),
)
_table = idempotency_keys.c
_is_claim = sa.and_(
    _table.owner == sa.bindparam("claim_owner", type_=sa.String()),
    _table.key == sa.bindparam("claim_key", type_=sa.String()),
)
_quotas: WeakKeyDictionary[Database, KeyQuota] = WeakKeyDictionary()
_making = threading.Lock()
SELECT_STORED = sa.select(*idempotency_keys.columns).where(_is_claim)


class KeyedRequest(NamedTuple):
    """A request with a key. `body` only distinguishes it from others; for a large body a digest is enough."""

    key: str
    path: str
    body: bytes


class Claim(NamedTuple):
    """The owner of a key, and the fingerprint of its request.

    A key belongs to the caller, or to the path without a caller.
    """

    owner: str
    key: str
    fingerprint: str


def _claim_of(unit: UnitOfWork, sent: KeyedRequest) -> Claim:
    path = sent.path.rstrip("/")
    owner = f"path {path}"[:MAX_OWNER] if unit.caller is None else f"account {unit.caller.id}"
    # Keyed with a secret that the database does not hold: a plain digest of a sign-up would allow fast guesses of its
    # password.
    secret = unit.settings.jwt_secret.get_secret_value().encode()
    return Claim(owner, sent.key, hmac.digest(secret, path.encode() + b"\n" + sent.body, "sha256").hex())


def run_once(unit: UnitOfWork, sent: KeyedRequest, work: Callable[[], Response]) -> Response:
    """Return the response of `work`, or the stored response of the same request.

    The caller must be authenticated by now.

    Raises:
        TooManyKeysError: 429 for a new key when the account has reached its limit.
        InvalidInputError: 422 for a key that is not 1 to 255 printable ASCII characters, or that came with another
            request.
    """
    if not KEY.match(sent.key):
        message = "send one key of 1 to 255 printable ASCII characters, without blanks"
        raise InvalidInputError.at("header", "Idempotency-Key", message=message)
    claim = _claim_of(unit, sent)
    unit.begin()
    if not _claim_key(unit, claim):
        return _replay(unit, claim)
    if unit.caller is not None:
        _quota(unit.database).reserve(unit, claim.owner)
    response = work()
    # A stored response without a content type is JSON.
    has_type = response.headers.get("content-type") not in (None, JSON)
    left_out = ("content-length",) if has_type else ("content-length", "content-type")
    headers = {n: v for n, v in response.headers.items() if n not in left_out}
    stored = {"status": response.status_code, "headers": headers, "body": bytes(response.body)}
    unit.run(unit.database.statement_for("idempotency store", _store_statement), {**_identity(claim), **stored})
    return response


def _quota(database: Database) -> KeyQuota:
    with _making:
        quota = _quotas.get(database)
        if quota is None:
            quota = _quotas[database] = KeyQuota(database.settings.idempotency_keys_per_account, idempotency_keys)
        return quota


def _identity(claim: Claim) -> dict[str, Any]:
    return {"claim_owner": claim.owner, "claim_key": claim.key}


def _claim_key(unit: UnitOfWork, claim: Claim) -> bool:
    """Claim the key for this transaction, after waiting for one that holds it.

    Delete expired claims first, of any owner.
    """
    present = now()
    unit.run(unit.database.statement_for("idempotency expire", _expire_statement), {"before": present - LIFETIME})
    values = {"owner": claim.owner, "key": claim.key, "fingerprint": claim.fingerprint, "created_at": present}
    empty = {"status": 0, "headers": {}, "body": b""}
    return bool(unit.run(unit.database.statement_for("idempotency claim", _claim_statement), {**values, **empty}))


def _replay(unit: UnitOfWork, claim: Claim) -> Response:
    stored = unit.fetch(SELECT_STORED, _identity(claim))[0]
    if stored["fingerprint"] != claim.fingerprint:
        message = "this key came with another request; use a new one for each"
        raise InvalidInputError.at("header", "Idempotency-Key", message=message, kind="idempotency_key_reused")
    headers = {**stored["headers"], "Idempotent-Replayed": "true"}
    body = bytes(stored["body"])
    return Response(body, stored["status"], headers, JSON if body else None)


def _claim_statement(dialect: sa.Dialect) -> CompiledStatement:
    make: Any = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    values = {column.name: sa.bindparam(column.name, type_=column.type) for column in idempotency_keys.columns}
    source = make(idempotency_keys).values(values).on_conflict_do_nothing().returning(_table.key)
    return CompiledStatement(source, dialect, columns=[_table.key])


def _store_statement(dialect: sa.Dialect) -> CompiledStatement:
    names = ("status", "headers", "body")
    values = {name: sa.bindparam(name, type_=_table[name].type) for name in names}
    return CompiledStatement(sa.update(idempotency_keys).where(_is_claim).values(values), dialect, columns=[])


def _expire_statement(dialect: sa.Dialect) -> CompiledStatement:
    old = _table.created_at < sa.bindparam("before", type_=UTCDateTime())
    return CompiledStatement(sa.delete(idempotency_keys).where(old), dialect, columns=[])
