"""Sends requests for every response that a client can cause, and checks each response against the document."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlencode

import sqlalchemy as sa
from httpx2 import Response
from sqlmodel import col
from starlette.testclient import TestClient

from rowhouse.auth.models import User
from rowhouse.db.unit_of_work import UnitOfWork
from tests.conftest import PASSWORD, sign_in, unique
from tests.contract.bodies import Bodies
from tests.openapi_documents import Document

Headers = Mapping[str, str]
FORGED = {"Authorization": "Bearer forged"}
NOWHERE = {"integer": "2147483647", "string": "00000000-0000-4000-8000-000000000000"}
# The headers that belong to a status.
OF_STATUS = {"401": "WWW-Authenticate", "429": "Retry-After", "503": "Retry-After"}
# The headers that carry information for a client; any server sends the others.
TELLING = {"etag", "location", "idempotent-replayed", "www-authenticate", "retry-after", "x-request-id"}
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
TOO_LARGE = b" " * (1024 * 1024 + 1)


class Operation(NamedTuple):
    """One operation of a document, with what the document says of all."""

    method: str
    path: str
    described: Mapping[str, Any]
    document: Document

    @property
    def name(self) -> str:
        """Its operation id."""
        return str(self.described["operationId"])

    @property
    def security(self) -> list[Mapping[str, Any]]:
        """Who may call it: its own word, or the document's."""
        found: list[Mapping[str, Any]] = self.described.get("security", self.document["security"])
        return found

    @property
    def media_types(self) -> list[str]:
        """The types of body that it takes."""
        return list(self.described.get("requestBody", {}).get("content", {}))

    def parameters(self, place: str) -> dict[str, Mapping[str, Any]]:
        """Its parameters in the path, the query or the headers."""
        return {p["name"]: p for p in self.described.get("parameters", ()) if p["in"] == place}

    def url(self, query: str = "") -> str:
        """Where it is, for a row that does not exist; the query that it needs, and more."""
        path = self.path
        for name, parameter in self.parameters("path").items():
            path = path.replace(f"{{{name}}}", NOWHERE[parameter["schema"]["type"]])
        needed = [
            f"{name}={value_of(name, parameter['schema'].get('items', parameter['schema']))}"
            for name, parameter in self.parameters("query").items()
            if parameter["required"]
        ]
        return f"{path}?{'&'.join([*needed, query])}".rstrip("?&")


def value_of(name: str, schema: Mapping[str, Any]) -> str:
    """A value for a parameter that must be given; instants make an interval."""
    if schema.get("format") == "date-time":
        return f"2030-01-0{2 if name.startswith('end') else 1}T00:00:00Z"
    return NOWHERE[schema["type"]]


def operations(document: Document) -> Iterator[Operation]:
    """Every operation of a document."""
    for path, item in document["paths"].items():
        for method, described in item.items():
            yield Operation(method.upper(), path, described, document)


def check(operation: Operation, answer: Response) -> None:
    """Hold an answer to its description: status, media type, headers."""
    told = f"{operation.method} {answer.request.url} → {answer.status_code} {dict(answer.headers)} {answer.text[:300]}"
    described = operation.described["responses"].get(str(answer.status_code))
    assert described is not None, f"undocumented status: {told}"
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    assert media_type in (described.get("content") or {""}), f"undocumented media type: {told}"
    headers = {name.lower(): resolve(operation.document, head) for name, head in described["headers"].items()}
    required = {name for name, head in headers.items() if head["required"]}
    present = {name.lower() for name in answer.headers}
    assert required <= present, f"not all the headers that are documented: {told}"
    assert present & TELLING <= set(headers), f"undocumented headers: {told}"


def resolve(document: Document, part: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a reference leads to, or the part itself."""
    if "$ref" not in part:
        return part
    found: Any = document
    for name in part["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return dict(found)


@dataclass
class Prober:
    """Callers of one application, and the statuses that each operation has answered."""

    client: TestClient
    bodies: Bodies
    document: Document
    admin: Headers
    seen: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        """Make the account that may not do anything any more."""
        self.disabled = self._disabled_account()
        self.operations = {operation.name: operation for operation in operations(self.document)}

    def _disabled_account(self) -> Headers:
        email = f"{unique('gone')}@example.com"
        answer = self.client.post("/api/v1/users", json={"email": email, "password": PASSWORD, "full_name": "Gone"})
        assert answer.status_code == 201, answer.text
        headers = sign_in(self.client, email, PASSWORD)
        app: Any = self.client.app
        with UnitOfWork(app.state.database, write=True) as unit:  # not every table of contents has accounts to change
            unit.session.execute(sa.update(User).where(col(User.email) == email).values(is_active=False))
        return headers

    def call(self, operation: Operation, headers: Headers, *, query: str = "", **options: Any) -> Response:
        """Call an operation and hold the answer to the document."""
        answer = self.client.request(operation.method, operation.url(query), headers=dict(headers), **options)
        self.hold(operation, answer)
        return answer

    def hold(self, operation: Operation, answer: Response) -> None:
        """Hold an answer to the document, and remember its status."""
        check(operation, answer)
        self.seen[operation.name].add(answer.status_code)

    def probe(self, operation: Operation, user: Headers) -> None:
        """Everything that needs no row: callers, words, bodies, headers."""
        body = self._body(operation)
        key = {"Idempotency-Key": unique("key")} if "Idempotency-Key" in operation.parameters("header") else {}
        for headers in ({}, {**FORGED, **key}, {**self.disabled, **key}, user, self.admin):
            self.call(operation, {**headers, **body.type}, content=body.content)
        self.call(operation, {**self.admin, **body.type}, content=body.content, query="no_such_parameter=1")
        for name in operation.parameters("header"):
            self.call(operation, {**self.admin, **body.type, name: "\x7f" if key else '"stale"'}, content=body.content)
        if operation.media_types:
            self.call(operation, {**self.admin, **body.type}, content=b'{"')
            self.call(operation, {**self.admin, **body.type}, content=TOO_LARGE)
            self.call(operation, {**self.admin, "Content-Type": "image/png"}, content=body.content)

    def _body(self, operation: Operation) -> "Body":
        """Where a route by hand reads one, a valid body, for it reads the body before the token."""
        if not operation.media_types:
            return Body(b"", {})
        media_type = operation.media_types[0]
        content = operation.described["requestBody"]["content"][media_type]
        schema = resolve(self.document, content["schema"])
        members = {name: self.bodies.value(schema["properties"][name], 1) for name in schema.get("required", ())}
        text = urlencode(members) if media_type == FORM else json.dumps(members)
        return Body(text.encode(), {"Content-Type": media_type})


class Body(NamedTuple):
    """A body and the header that says what it is."""

    content: bytes
    type: Headers
