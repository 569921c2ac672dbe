"""The request of a generated operation: its headers, its caller, and the checks that every operation makes first."""

import re
from collections.abc import Callable, Collection, Sequence
from urllib.parse import unquote_to_bytes

from starlette.responses import Response
from starlette.types import Scope

from rowhouse.core.errors import InvalidInputError
from rowhouse.core.policy import Policy
from rowhouse.core.security import bearer_token
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.http.authorization import CALLER, overriding_caller
from rowhouse.query.query_string import parse_query
from rowhouse.requests.accepted_body import reject_members
from rowhouse.requests.idempotency import KeyedRequest, run_once
from rowhouse.requests.paths import client_path, location, route_path, segment

TAG = re.compile(r'(?:W/)?"[^"]*"|\*')
TAGS = re.compile(r'\s*,*\s*(?:(?:W/)?"[^"]*"|\*)(?:\s*,\s*(?:(?:W/)?"[^"]*")?)*\s*')
CONDITIONS = {b"if-match": "If-Match", b"if-none-match": "If-None-Match"}
HEADERS = frozenset({b"authorization", b"idempotency-key", b"prefer", *CONDITIONS})


def entity_tags(given: str) -> Sequence[str]:
    """Return the entity tags in the value of a header such as `If-Match`; none if it is no list of entity tags."""
    return TAG.findall(given) if TAGS.fullmatch(given) else ()


class OperationRequest:
    """One request to a generated operation."""

    __slots__ = ("body", "headers", "key", "path", "query", "scope")

    def __init__(self, scope: Scope, body: bytes) -> None:
        self.scope = scope
        self.path: str = route_path(scope).rstrip("/")
        self.key: str = scope["path_params"].get("id", "")
        self.query: bytes = scope["query_string"]
        self.body = body
        found = [(name, value.decode("latin-1")) for name, value in scope["headers"] if name in HEADERS]
        self.headers = dict(found)
        if len(self.headers) < len(found):
            self.headers = {name: ", ".join(v for n, v in found if n == name) for name in self.headers}

    def location(self, key: str) -> str:
        """Return the path of a new row with this key, for `Location`."""
        return location(self.scope, key)

    def row_location(self, key: str) -> str:
        """Return the path of the row with this key, which this request names, for `Location`."""
        path = route_path(self.scope)
        # The key itself may end with a slash.
        parent = path.removesuffix(f"/{self.key}")
        parent = path.rstrip("/").removesuffix(f"/{self.key}") if parent == path else parent
        return client_path(self.scope, parent) + segment(key)

    def tags(self, header: bytes) -> Collection[str]:
        """Return the entity tags of `If-Match` or `If-None-Match`. There are none without the header."""
        return entity_tags(self.headers.get(header, ""))

    def authorize(self, unit: UnitOfWork, policy: Policy) -> None:
        """Authenticate the caller, and require that the policy allows them.

        Raises:
            NotAuthenticatedError: 401 if credentials are missing or not valid.
            PermissionDeniedError: 403 if the account lacks the role.
        """
        authorization = self.headers.get(b"authorization")
        if CALLER in self.scope:
            unit.caller = overriding_caller(self.scope[CALLER])
        elif authorization is not None:
            unit.authenticate(bearer_token(authorization))
        policy.check(unit.caller)

    def require_utf8(self) -> None:
        """Reject a path that is not UTF-8. The server has replaced its bytes, so several keys would be one.

        Raises:
            InvalidInputError: 422, naming the key.
        """
        try:
            unquote_to_bytes(self.scope.get("raw_path") or b"").decode()
        except UnicodeDecodeError as error:
            raise InvalidInputError.at("path", "id", message="write the path in UTF-8") from error

    def reject_conditions(self) -> None:
        """Reject `If-Match` and `If-None-Match`, which are about the version of a row that is there.

        Raises:
            InvalidInputError: 422, naming the header.
        """
        for name in CONDITIONS.keys() & self.headers.keys():
            message = "this request names no row whose version the header could be about"
            raise InvalidInputError.at("header", CONDITIONS[name], message=message)

    def reject_body(self) -> None:
        """Reject a body with members, where the operation has none. An empty object says nothing.

        Raises:
            InvalidInputError: 422, naming the members.
        """
        reject_members(self.body)

    def reject_query(self) -> None:
        """Reject every query parameter, as `parameters` does."""
        if self.query:
            self.parameters()

    def parameters(self, *allowed: str) -> dict[str, str]:
        """Return the query parameters. Reject others than the allowed ones, so that a misspelt one is not ignored.

        Raises:
            InvalidInputError: 422, naming the parameter.
        """
        given = parse_query(self.query) if self.query else {}
        for name in given:
            if name not in allowed:
                message = "this operation has no such parameter"
                raise InvalidInputError.at("query", name, message=message, kind="extra_forbidden")
        return given

    @property
    def _whole(self) -> bytes:
        """The content that an idempotency key belongs to: the body, after the query if there is one."""
        return self.query + b"\n" + self.body if self.query else self.body

    def once(self, unit: UnitOfWork, work: Callable[[], Response]) -> Response:
        """Return the response of `work`, or that of an earlier request with the same `Idempotency-Key`."""
        key = self.headers.get(b"idempotency-key")
        return work() if key is None else run_once(unit, KeyedRequest(key, self.path, self._whole), work)
