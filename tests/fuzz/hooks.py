"""What schemathesis cannot know from the OpenAPI document: the few rules that JSON Schema has no words for, each with its reason.

Loaded by the schemathesis process (see `campaign`). Data that is meant to be refused is never touched, and no check is switched
off: an input is only made to keep a rule, or left out, where the document calls it valid and the rule does not.
"""

import os
import zlib
from datetime import UTC, datetime, timedelta
from typing import Any

import schemathesis
from hypothesis import strategies
from schemathesis import Case, HookContext

AnyCase = Case[Any]
ACCOUNTS = frozenset(os.environ["FUZZ_ACCOUNTS"].split(","))
MAX_PASSWORD_BYTES = 72
BOOKABLE_HOURS = 80 * 24
WRITING = frozenset({"PATCH", "PUT", "DELETE"})

# `format: email` takes addresses under domains that cannot receive mail, such as `.test`; the API does not (RFC 6761).
schemathesis.openapi.format("email", strategies.emails(domains=strategies.just("example.com")))


def is_meant_to_pass(case: AnyCase) -> bool:
    """Whether the document calls the whole input valid."""
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.hook
def filter_case(_context: HookContext, case: AnyCase) -> bool:
    """Leave out what would end the campaign itself, and passwords that JSON Schema cannot measure."""
    return not (locks_an_account_out(case) or has_too_many_bytes(case))


@schemathesis.hook
def map_case(_context: HookContext, case: AnyCase) -> AnyCase:
    """Have inputs that are meant to pass keep the rules between two members."""
    if is_meant_to_pass(case):
        write_whole_numbers(case)
        choose_one_kind_of_page(case)
        book_a_time_to_come(case)
    return case


def locks_an_account_out(case: AnyCase) -> bool:
    """An administrator may disable or delete the accounts that the campaign runs under; after that it would see only 403."""
    path = case.operation.path
    return path == "/api/v1/users/{id}" and case.method in WRITING and str(case.path_parameters["id"]) in ACCOUNTS


def has_too_many_bytes(case: AnyCase) -> bool:
    """`maxLength` counts characters, bcrypt counts bytes: a password of 72 characters may have more than 72 bytes."""
    body = case.body
    if not is_meant_to_pass(case) or not isinstance(body, dict):
        return False
    given = [body.get(name) for name in ("password", "new_password")]
    return any(isinstance(text, str) and len(text.encode()) > MAX_PASSWORD_BYTES for text in given)


def write_whole_numbers(case: AnyCase) -> None:
    """To JSON Schema 1.0 is an integer; the contract's JSON types are strict, and it is none."""
    if isinstance(case.body, dict):
        for name, value in case.body.items():
            if isinstance(value, float) and value.is_integer():
                case.body[name] = int(value)


def choose_one_kind_of_page(case: AnyCase) -> None:
    """`page` and `size` exclude `skip` and `limit`; parameters of an operation cannot say so in OpenAPI."""
    query: Any = case.query
    if query and {"page", "size"} & query.keys() and {"skip", "limit"} & query.keys():
        for name in {"skip", "limit"} & query.keys():
            del query[name]


def book_a_time_to_come(case: AnyCase) -> None:
    """A booking's times are in order, 5 minutes to 24 hours apart and within 90 days from now: an hour, chosen by the input."""
    body = case.body
    if (
        "/bookings" not in case.operation.path
        or not isinstance(body, dict)
        or not {"start_time", "end_time"} & body.keys()
    ):
        return
    choice = zlib.crc32(repr(sorted(body.items())).encode()) % BOOKABLE_HOURS
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1 + choice)
    body["start_time"], body["end_time"] = start.isoformat(), (start + timedelta(hours=1)).isoformat()
