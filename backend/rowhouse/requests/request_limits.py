"""Checks a request before its route runs: its headers, and the size and speed of its body.

Every reader behind it sees the same headers and no body over the limit. Must not know the caller.
"""

import asyncio
from collections.abc import Generator, Iterable
from types import coroutine
from typing import Any, cast

from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope

from rowhouse.core.errors import NotAuthenticatedError, UnsupportedMediaTypeError

Headers = Iterable[tuple[bytes, bytes]]
MAX_DIGITS = 18
MIN_BYTES_PER_SECOND = 16 * 1024
CLOSE = {"Connection": "close"}
PLAIN = b"identity"
LISTS = frozenset({b"if-match", b"if-none-match"})
FORMS = (b"application/x-www-form-urlencoded", b"multipart/form-data")


def check_headers(headers: Headers, *, max_bytes: int) -> None:
    """Reject a request with an ambiguous caller, or with a body that is compressed or too large.

    Raises:
        NotAuthenticatedError: 401 for more than one `Authorization`: a proxy may have checked the other.
        UnsupportedMediaTypeError: 415 for a compressed body, whose size is unknown (RFC 9110 §8.4, §15.5.16).
        HTTPException: 413 for a `Content-Length` over `max_bytes`. A body without one is counted as it arrives.
    """
    credentials = 0
    for name, value in headers:
        if name == b"authorization":
            credentials += 1
        elif name == b"content-length" and _is_over(value, max_bytes):
            raise HTTPException(413)
        elif name == b"content-encoding" and value.strip().lower() not in (b"", PLAIN):
            raise UnsupportedMediaTypeError("Send the body as it is, without Content-Encoding.")
    if credentials > 1:
        raise NotAuthenticatedError("Send one Authorization header.")


def _is_over(length: bytes, max_bytes: int) -> bool:
    """Return True if a length is too large. One that is not a number is left to the server; its body is counted."""
    return length.isdigit() and (len(length) > MAX_DIGITS or int(length) > max_bytes)


def limit_body(receive: Receive, limit: int, *, seconds: float) -> Receive:
    """Return a `receive` that raises 413 for a body over `limit` bytes, and 408 for one that arrives too slowly.

    A body may take `seconds`, and one more for each `MIN_BYTES_PER_SECOND` bytes received: a large file on a slow line
    is not an attack. FastAPI's own limit responds in plain text, without headers.
    """
    size, deadline, is_complete = 0, 0.0, False

    async def counted() -> Message:
        nonlocal size, deadline, is_complete
        if is_complete:  # the next message is the disconnect, which has no time limit
            return await receive()
        loop = asyncio.get_running_loop()
        deadline = deadline or loop.time() + seconds
        message = await _before(loop, deadline + size / MIN_BYTES_PER_SECOND, receive)
        size += len(message.get("body", b""))
        if size > limit:
            raise HTTPException(413)
        is_complete = not message.get("more_body", False)
        return message

    return counted


async def _before(loop: asyncio.AbstractEventLoop, deadline: float, receive: Receive) -> Message:
    """Return the message of `receive`, or raise 408 at `deadline`.

    The body of nearly every request has already arrived. It needs no timer, which would cost as much as everything else
    here.
    """
    receiving: Any = receive().__await__()
    try:
        awaited = receiving.send(None)
    except StopIteration as received:
        return cast("Message", received.value)
    task, is_over = cast("asyncio.Task[Any]", asyncio.current_task(loop)), False

    def end() -> None:
        nonlocal is_over
        is_over = True
        task.cancel()

    timer = loop.call_at(deadline, end)
    try:
        return await _rest_of(receiving, awaited)
    except asyncio.CancelledError:
        if is_over and not task.uncancel():
            raise HTTPException(408, headers=CLOSE) from None
        raise
    finally:
        timer.cancel()


@coroutine
def _rest_of(receiving: Any, awaited: Any) -> Generator[Any, Any, Message]:
    """Run the rest of an awaitable that has started and waits for `awaited`. Return its result."""
    try:
        while True:
            try:
                came = yield awaited
            except BaseException as error:  # noqa: BLE001  the awaitable decides what to do with any error
                awaited = receiving.throw(error)
            else:
                awaited = receiving.send(came)
    except StopIteration as received:
        return cast("Message", received.value)


def require_json(headers: Headers) -> None:
    """Require a JSON body.

    Raises:
        UnsupportedMediaTypeError: 415 for another type, or none (RFC 9110 §15.5.16).
    """
    for name, value in headers:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            if kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json")):
                return
            if kind == b"multipart/form-data":
                raise UnsupportedMediaTypeError(
                    "Send the JSON itself as the body, not as a form: "
                    "curl --data-binary @file -H 'Content-Type: application/json'"
                )
            break
    raise UnsupportedMediaTypeError


def require_media_type(headers: Headers, *, media_type: str) -> None:
    """As `require_json`, for a route with `Body(media_type=...)`."""
    found = [value for name, value in headers if name == b"content-type"]
    if not found or found[0].partition(b";")[0].strip().lower() != media_type.encode():
        raise UnsupportedMediaTypeError(f"Send the body as {media_type}.")


def require_form(headers: Headers) -> None:
    """As `require_json`, for a form. A body without a type is an empty form."""
    for name, value in headers:
        if name == b"content-type" and value.partition(b";")[0].strip().lower() not in FORMS:
            raise UnsupportedMediaTypeError(f"Send the body as {FORMS[0].decode()}.")


def join_list_headers(scope: Scope) -> None:
    """Join repeated `If-Match` or `If-None-Match` headers into one: together they are one list (RFC 9110 §5.3)."""
    found = [name for name, _ in scope["headers"] if name in LISTS]
    if len(found) == len(set(found)):
        return
    others = [(name, value) for name, value in scope["headers"] if name not in LISTS]
    joined = [(name, b", ".join(v for n, v in scope["headers"] if n == name)) for name in dict.fromkeys(found)]
    scope["headers"] = [*others, *joined]
