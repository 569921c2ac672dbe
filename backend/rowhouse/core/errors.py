"""The errors of the API and their responses (RFC 9457, `application/problem+json`).

Example:
    RowhouseError
    ├── InvalidRequestError      400  bad_request        ├── EmptyUpdateError       empty_update
    ├── NotAuthenticatedError    401  not_authenticated
    ├── PermissionDeniedError    403  permission_denied
    ├── NotFoundError            404  not_found
    ├── ConflictError            409  conflict           ├── DuplicateError         duplicate
    │                                                    ├── ReferenceNotFoundError reference_not_found
    │                                                    ├── StillReferencedError   still_referenced
    │                                                    └── OverlapError           overlap (carries `conflict`)
    ├── PreconditionFailedError  412  stale
    ├── UnsupportedMediaTypeError 415 unsupported_media_type
    ├── InvalidInputError        422  invalid_input      (carries `errors`)
    ├── TooManyAttemptsError     429  too_many_attempts  (carries `Retry-After`)
    │                                                    ├── TooManySignUpsError    too_many_sign_ups
    │                                                    ├── TooManyKeysError       too_many_keys
    │                                                    └── RateLimitError         rate_limited
    └── UnavailableError         503  unavailable        (carries `Retry-After`)
        ├── DatabaseError             database_unavailable (it does not answer, or its disk is full)
        │   └── DatabaseRightsError   database_rights      (its role may not do this)
        ├── LockedError               locked
        ├── StatementTimeoutError     statement_timeout
        ├── ReadOnlyDatabaseError     read_only
        └── TransactionRetryError     transaction_retry  (the request is retried before a client sees it)
            └── ConnectionLostError   connection_lost    (retried once)

A service raises one of these and never names a status code. `problems` renders them.
"""

import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Self

from pydantic import ValidationError
from pydantic_core import to_json

VALUE_ERROR = "Value error, "
# Five errors for each element of the largest batch.
MAX_ERRORS = 5000


class RowhouseError(Exception):
    """The base of every error that a client may see. `detail` says what to change.

    Derive a class of your own from the subclass with the status that you need, and give it a `code` for machines:

        class SoldOutError(ConflictError):
            code = "sold_out"
            default_detail = "No seat is left."
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    default_detail: ClassVar[str] = "Something went wrong on our side; the request id helps us to find it."
    headers: Mapping[str, str] = MappingProxyType({})
    # True for an error whose changes must be stored, such as a revoked session: the transaction commits.
    keeps_changes: ClassVar[bool] = False

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or self.default_detail
        self.element: int | None = None
        self.path: tuple[str | int, ...] = ()
        # What the positions of elements are about: the body, or a parameter.
        self.origin: tuple[str, ...] = ("body",)
        self.listed: Sequence[Mapping[str, Any]] = ()
        super().__init__(self.detail)

    def element_error(self, position: int) -> Self:
        """Return this error, with the position of its element in a batch, counted from 0."""
        self.element = position
        return self

    def inside(self, *path: str | int) -> Self:
        """Return this error, with the place of an element inside its row, such as `"lines", 1`."""
        self.path = path
        return self

    @property
    def place(self) -> tuple[str | int, ...]:
        """The place of the error in the body: the position in a batch, then the place inside the row."""
        return self.path if self.element is None else (self.element, *self.path)

    def members(self) -> Mapping[str, Any]:
        """Further members of the problem (RFC 9457 §3.2)."""
        return {}

    def listing(self, faults: Sequence[Mapping[str, Any]], *, detail: str) -> Self:
        """Return this error for several elements of a batch. `errors` lists these faults."""
        self.listed, self.detail, self.element, self.path = faults, detail, None, ()
        return self

    def faults(self) -> list[Mapping[str, Any]]:
        """Return the entries of `errors`: one with the place in the body, if that is known."""
        if not self.place:
            return []
        return [{"loc": [*self.origin, *self.place], "msg": self.detail, "type": self.code}]


class InvalidRequestError(RowhouseError):
    """400: the request makes no sense in the present state.

    Example:
        raise InvalidRequestError("The cart is empty; add a book first.")
    """

    status = 400
    code = "bad_request"
    default_detail = "The request cannot be carried out as it stands."


class EmptyUpdateError(InvalidRequestError):
    """400: an update that names no member."""

    code = "empty_update"
    default_detail = "Send at least one member to change."


class NotAuthenticatedError(RowhouseError):
    """401: no credentials, or credentials that are not valid (RFC 6750 §3).

    Example:
        if unit.caller is None:
            raise NotAuthenticatedError
    """

    status = 401
    code = "not_authenticated"
    default_detail = "Sign in and send the access token as `Authorization: Bearer …`."
    headers = MappingProxyType({"WWW-Authenticate": "Bearer"})


class PermissionDeniedError(RowhouseError):
    """403: the caller is known and may not do this.

    Example:
        raise PermissionDeniedError("Only the author may publish this.")
    """

    status = 403
    code = "permission_denied"
    default_detail = "Your account may not do this."


class NotFoundError(RowhouseError):
    """404: the row does not exist, or the caller does not see it.

    Example:
        raise NotFoundError(f"There is no Seat with the id {seat_id}.")
    """

    status = 404
    code = "not_found"
    default_detail = "There is nothing here; check the path and the id."


# A conflict without an error of the database: it changed nothing, as a trigger can ask it to.
NOT_STORED = "The database did not store it: a rule of the database refused."


class ConflictError(RowhouseError):
    """409: the request contradicts what is stored.

    Example:
        raise ConflictError("This invoice was paid already.")
    """

    status = 409
    code = "conflict"
    default_detail = "This contradicts what is stored already."


class DuplicateError(ConflictError):
    """409: a value that must be unique is taken. The engine raises it for unique constraints.

    Example:
        raise DuplicateError("Book with this title already exists")
    """

    code = "duplicate"


class ReferenceNotFoundError(ConflictError):
    """409: a member refers to a row that does not exist. `detail` names the member.

    Example:
        raise ReferenceNotFoundError(f"seat_id: there is nothing with the id {seat_id}.")
    """

    code = "reference_not_found"
    default_detail = "A member refers to a row that does not exist."


class StillReferencedError(ConflictError):
    """409: other rows refer to the one to be deleted."""

    code = "still_referenced"
    default_detail = "Other rows still refer to this one; delete or change them first."


class OverlapError(ConflictError):
    """409: another row overlaps. `window` is the interval of that row, without any other column.

    Derive a class of your own for `NoOverlap(error=...)`:

        class SeatTakenError(OverlapError):
            code = "seat_taken"
            default_detail = "Seat already taken"
    """

    code = "overlap"
    default_detail = "Another entry holds this time already."

    def __init__(self, detail: str | None = None, window: Mapping[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.window = window

    @classmethod
    def with_window(cls, window: Mapping[str, Any]) -> Self:
        """Return the error with the conflicting interval, by the names of its columns."""
        return cls(window=window)

    def members(self) -> Mapping[str, Any]:
        """Return the interval, if it is known."""
        if self.window is None:
            return {}
        return {"conflict": json.loads(to_json(self.window))}


class PreconditionFailedError(RowhouseError):
    """412: the row has changed since the client read it (`If-Match`)."""

    status = 412
    code = "stale"
    default_detail = "This was changed since you read it; read it again, then repeat your change."


class UnsupportedMediaTypeError(RowhouseError):
    """415: a body of a type that this operation does not read."""

    status = 415
    code = "unsupported_media_type"
    default_detail = "Send the body as application/json."


def message_of(fault: Mapping[str, Any]) -> str:
    """Return the message of a pydantic error, without the prefix that pydantic adds to a validator's message."""
    return str(fault["msg"]).removeprefix(VALUE_ERROR)


class InvalidInputError(RowhouseError):
    """422: well-formed but not valid. `errors` holds one `{"loc", "msg", "type"}` for each fault.

    Example:
        raise InvalidInputError.at("body", "end_time", message="must be after start_time")
    """

    status = 422
    code = "invalid_input"
    default_detail = "Some values are not valid; `errors` lists them."

    def __init__(self, errors: Sequence[Mapping[str, Any]], detail: str | None = None) -> None:
        super().__init__(detail)
        self.errors: list[Mapping[str, Any]] = list(errors)

    def faults(self) -> list[Mapping[str, Any]]:
        """Return one entry for each fault, with its place in the body."""
        if not self.place:
            return self.errors
        inner = [{**fault, "loc": fault["loc"][1:]} for fault in self.errors] or [
            {"loc": [], "msg": self.detail, "type": self.code}
        ]
        return [{**fault, "loc": [*self.origin, *self.place, *fault["loc"]]} for fault in inner]

    @classmethod
    def at(cls, *loc: str | int, message: str, kind: str = "value_error") -> "InvalidInputError":
        """Return the error for one fault at `loc`, such as `("body", "end_time")`."""
        return cls([{"loc": list(loc), "msg": message, "type": kind}])

    @classmethod
    def from_pydantic(cls, error: ValidationError, *prefix: str | int) -> "InvalidInputError":
        """Return the faults of a pydantic validation below `prefix`, or only their number if there are too many."""
        if error.error_count() > MAX_ERRORS:
            message = f"{error.error_count()} faults are too many to list; see the schema of this body"
            return cls.at(*prefix, message=message, kind="too_many_faults")
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        return cls([{"loc": [*prefix, *f["loc"]], "msg": message_of(f), "type": f["type"]} for f in faults])


class TooManyAttemptsError(RowhouseError):
    """429: too many failed attempts. The next is allowed after `retry_after` seconds (RFC 6585 §4)."""

    status = 429
    code = "too_many_attempts"
    default_detail = "Too many failed attempts; wait as many seconds as `Retry-After` says, then try again."

    def __init__(self, retry_after: int = 1) -> None:
        super().__init__()
        self.headers = {"Retry-After": str(retry_after)}


class TooManySignUpsError(TooManyAttemptsError):
    """429: too many sign-ups from one network address."""

    code = "too_many_sign_ups"
    default_detail = "Too many sign-ups from your network; wait as many seconds as `Retry-After` says, then try again."


class TooManyKeysError(TooManyAttemptsError):
    """429: the account has reached its limit of idempotency keys. The request changed nothing."""

    code = "too_many_keys"
    default_detail = (
        "Your account has too many keys of the last 24 hours; wait as `Retry-After` says, or send no Idempotency-Key."
    )


class RateLimitError(TooManyAttemptsError):
    """429: too many requests of one account or network address."""

    code = "rate_limited"
    default_detail = "Too many requests; wait as many seconds as `Retry-After` says, then try again."


class UnavailableError(RowhouseError):
    """503: the server has no capacity, or a service that it needs does not respond. A retry later is safe.

    Example:
        raise UnavailableError("The payment service does not respond; try again in a moment.")
    """

    status = 503
    code = "unavailable"
    default_detail = "The server is at its limit; try again in a moment."
    headers = MappingProxyType({"Retry-After": "1"})

    def __init__(self, detail: str | None = None, *, reason: str | None = None) -> None:
        super().__init__(detail)
        # For the log only, where no error of the database or Redis gives the reason.
        self.reason = reason or self.detail


class DatabaseError(UnavailableError):
    """503: the database does not respond, or is out of space."""

    code = "database_unavailable"
    default_detail = "The database cannot be reached or is out of space; try again in a moment."


class DatabaseRightsError(DatabaseError):
    """503: the database's role lacks a right that the request needs. A client cannot change that."""

    code = "database_rights"

    default_detail = "The server lacks a right in its database that this request needs; its operator can grant it."


class LockedError(UnavailableError):
    """503: another transaction held a lock for too long."""

    code = "locked"
    default_detail = "Another change holds what this request needs; try again in a moment."


class StatementTimeoutError(UnavailableError):
    """503: the database took too long over one statement and stopped it."""

    code = "statement_timeout"
    default_detail = "The database took too long over this request; ask for less, or try again later."


class ReadOnlyDatabaseError(UnavailableError):
    """503: the database takes no writes at present."""

    code = "read_only"
    default_detail = (
        "The database takes no writes at present, for it is a standby or set to read only; reads are served."
    )


class TransactionRetryError(UnavailableError):
    """503 after several attempts: the database aborted this transaction, as in a deadlock."""

    code = "transaction_retry"


class ConnectionLostError(TransactionRetryError):
    """503 if it happens twice: the connection broke before the commit, so the request can be repeated on a new one."""

    code = "connection_lost"
    default_detail = "The connection to the database was lost; try again in a moment."
