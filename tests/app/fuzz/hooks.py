"""Rules of the API that JSON Schema cannot express, each with its reason.

The schemathesis process loads this module (see `campaign`). No check is switched off, and data that should be rejected
stays as it is. A hook changes or drops an input only if the document calls it valid and a rule does not.
"""

import csv
import io
import json
import os
import re
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import schemathesis
from hypothesis import strategies
from schemathesis import Case, HookContext

AnyCase = Case[Any]
ACCOUNTS = frozenset(os.environ["FUZZ_ACCOUNTS"].split(","))
MAX_PASSWORD_BYTES = 72
BOOKABLE_HOURS = 80 * 24
MAX_QUERY_BYTES = 60_000
MAX_BRANCHES, MAX_ANY = 10, 4000
FILTER = re.compile("Only rows whose `")
ENDS_OF_TIME = re.compile("0001-01-0[12]T|9999-12-3[01]T")
WRITING = frozenset({"PATCH", "PUT", "DELETE"})
NDJSON, CSV = "application/x-ndjson", "text/csv"
# What a spreadsheet would run; the guide's rule for texts in cells of CSV.
FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")

# `format: email` takes addresses under domains that cannot receive mail, such as `.test`; the API does not (RFC 6761).
schemathesis.openapi.format("email", strategies.emails(domains=strategies.just("example.com")))


def is_meant_to_pass(case: AnyCase) -> bool:
    """Whether the document calls the whole input valid."""
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.hook
def before_load_schema(_context: HookContext, raw_schema: dict[str, Any]) -> None:
    """Call the OAuth2 scheme by what goes over the wire (RFC 6750).

    Schemathesis can take away and forge a bearer token only.
    """
    for name in raw_schema["components"]["securitySchemes"]:
        raw_schema["components"]["securitySchemes"][name] = {"type": "http", "scheme": "bearer"}
    say_what_files_hold(raw_schema["paths"])


def say_what_files_hold(paths: dict[str, Any]) -> None:
    """OpenAPI 3.1 has no words for the lines of a file: each is what a create of the same collection takes."""
    for path, item in paths.items():
        collection, ending, _ = path.rpartition("/import")
        if ending:
            row = paths[collection]["post"]["requestBody"]["content"]["application/json"]["schema"]
            content = {"schema": {"type": "array", "minItems": 1, "items": row}}
            item["post"]["requestBody"] = {"required": True, "content": dict.fromkeys((NDJSON, CSV), content)}


@schemathesis.serializer(NDJSON)
def write_ndjson(_context: Any, value: Any) -> bytes:
    """An object a line."""
    return b"\n".join(json.dumps(row).encode() for row in (value if isinstance(value, list) else [value]))


@schemathesis.serializer(CSV)
def write_csv(context: Any, value: Any) -> bytes:
    """The rows that have the first one's members.

    What is meant to be refused might be right in cells, so it is no CSV at all.
    """
    if not is_meant_to_pass(context.case):
        return json.dumps(value).encode()
    text, names = io.StringIO(newline=""), list(value[0])
    rows = [[cell(row[name]) for name in names] for row in value if set(row) == set(names)]
    csv.writer(text).writerows([names, *rows])
    return text.getvalue().encode()


def cell(value: Any) -> Any:
    """A value as CSV has it; no entity of the product has a JSON column."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


@schemathesis.hook
def filter_case(_context: HookContext, case: AnyCase) -> bool:
    """Leave out what would end the campaign itself, what never comes to the API, and values that JSON Schema cannot measure."""
    never_comes = is_too_long_for_the_server(case)
    return not (never_comes or locks_an_account_out(case) or has_too_many_bytes(case) or is_at_the_end_of_time(case))


@schemathesis.hook
def map_case(_context: HookContext, case: AnyCase) -> AnyCase:
    """Have inputs that are meant to pass keep the rules between two members."""
    if is_meant_to_pass(case):
        write_whole_numbers(case)
        name_each_row_once(case)
        write_each_key_once(case)
        sort_by_what_is_counted(case)
        join_filters(case)
        leave_out_what_an_answer_gives(case)
        choose_one_kind_of_page(case)
        book_a_time_to_come(case)
        ask_for_a_window(case)
    return case


@schemathesis.hook
def before_add_examples(_context: HookContext, examples: list[AnyCase]) -> None:
    """An example of the document is a day that is in the past, or too far ahead, sooner or later."""
    for case in examples:
        book_a_time_to_come(case)


def locks_an_account_out(case: AnyCase) -> bool:
    """An administrator may disable or delete the accounts that the campaign runs under.

    After that it would see only 403.
    """
    path = case.operation.path
    if case.method not in WRITING or not path.startswith("/api/v1/users/"):
        return False
    if path.endswith("/batch"):
        named = [str(body.get("id")) for body in bodies_of(case)] + re.findall(r"[0-9]+", repr(case.query))
        return not ACCOUNTS.isdisjoint(named)
    return path.endswith("/{id}") and str(case.path_parameters["id"]) in ACCOUNTS


def bodies_of(case: AnyCase) -> list[dict[str, Any]]:
    """The objects of a body: itself, or the elements of a batch."""
    bodies = case.body if isinstance(case.body, list) else [case.body]
    return [body for body in bodies if isinstance(body, dict)]


def is_too_long_for_the_server(case: AnyCase) -> bool:
    """A request line past 64 KiB is answered by uvicorn, not by the API.

    Many long parameters, of four bytes a character.
    """
    return len(urlencode(case.query or {}, doseq=True)) > MAX_QUERY_BYTES


def has_too_many_bytes(case: AnyCase) -> bool:
    """`maxLength` counts characters, bcrypt counts bytes: a password of 72 characters may have more than 72 bytes."""
    body = case.body
    if not is_meant_to_pass(case) or not isinstance(body, dict):
        return False
    given = [body.get(name) for name in ("password", "new_password")]
    return any(isinstance(text, str) and len(text.encode()) > MAX_PASSWORD_BYTES for text in given)


def is_at_the_end_of_time(case: AnyCase) -> bool:
    """`format.

    Date-time` takes the first and last days of the calendar, where an offset leaves the years that there are.
    """
    return is_meant_to_pass(case) and ENDS_OF_TIME.search(f"{case.query!r} {case.body!r}") is not None


def write_whole_numbers(case: AnyCase) -> None:
    """To JSON Schema 1.0 is an integer; the contract's JSON types are strict, and it is none."""
    for body in bodies_of(case):
        for name, value in body.items():
            if isinstance(value, float) and value.is_integer():
                body[name] = int(value)


def name_each_row_once(case: AnyCase) -> None:
    """A batch changes each row once; JSON Schema's `uniqueItems` compares whole elements."""
    if isinstance(case.body, list):
        by_key = {body.get("id", position): body for position, body in enumerate(bodies_of(case))}
        case.body = list(by_key.values())


def write_each_key_once(case: AnyCase) -> None:
    """With `on`, no two rows of a request may have one key. Members that the server sets are equal in all of them."""
    if case.query and isinstance(case.body, list) and isinstance(names := case.query.get("on"), str):
        by_key = {repr([body.get(name) for name in names.split(",")]): body for body in bodies_of(case)}
        case.body = list(by_key.values())


def sort_by_what_is_counted(case: AnyCase) -> None:
    """Aggregates are sorted by what the same request asks for, and it must ask for something."""
    query: Any = case.query
    if case.operation.path.endswith("/aggregate") and query and {"sort", "count"} & query.keys():
        query["count"] = "true"
        if "sort" in query:
            query["sort"] = "-count"


def join_filters(case: AnyCase) -> None:
    """`any` is text that holds JSON, and the filters in it are parameters: those of the same request."""
    query: Any = case.query
    if query and "any" in query:
        filters = {one.name for one in case.operation.query if FILTER.match(one.definition.get("description", ""))}
        branches = [{name: value} for name, value in query.items() if name in filters][:MAX_BRANCHES]
        query["any"] = json.dumps(branches)
        if not branches or len(query["any"]) > MAX_ANY:
            del query["any"]


def leave_out_what_an_answer_gives(case: AnyCase) -> None:
    """A cursor and an entity tag are valid only as an earlier answer gave them, a key only with its first request."""
    if case.query:
        case.query.pop("cursor", None)
    for name in [name for name in case.headers or () if name.lower() in ("if-match", "idempotency-key")]:
        del case.headers[name]


def choose_one_kind_of_page(case: AnyCase) -> None:
    """`page` and `size` exclude `skip` and `limit`; parameters of an operation cannot say so in OpenAPI."""
    query: Any = case.query
    if query and {"page", "size"} & query.keys() and {"skip", "limit"} & query.keys():
        for name in {"skip", "limit"} & query.keys():
            del query[name]


def book_a_time_to_come(case: AnyCase) -> None:
    """A booking's times are in order, 5 minutes to 24 hours apart and within 90 days from now.

    An hour, chosen by the input.
    """
    for body in bodies_of(case) if "/bookings" in case.operation.path else ():
        if {"start_time", "end_time"} & body.keys():
            choice = zlib.crc32(repr(sorted(body.items())).encode()) % BOOKABLE_HOURS
            start = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1 + choice)
            body["start_time"], body["end_time"] = start.isoformat(), (start + timedelta(hours=1)).isoformat()


def ask_for_a_window(case: AnyCase) -> None:
    """A window of time ends after it starts: an hour, chosen by the input."""
    query: Any = case.query
    if case.operation.path.endswith("/availability") and query and {"start", "end"} <= query.keys():
        start = datetime.now(UTC) + timedelta(hours=zlib.crc32(repr(sorted(query.items())).encode()) % BOOKABLE_HOURS)
        query["start"], query["end"] = (
            time.strftime("%Y-%m-%dT%H:%M:%SZ") for time in (start, start + timedelta(hours=1))
        )
