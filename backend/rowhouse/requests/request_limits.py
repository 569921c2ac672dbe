"""What is refused of a request before its route is asked: by its headers alone, and by the length and the pace of its body as it comes.

Knows no caller: it only sees to it that every reader behind it sees the same headers, and no more than it can hold.
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
MIN_BYTES_PER_SECOND = 16 * 1024  # bytes a second
CLOSE = {"Connection": "close"}
PLAIN = b"identity"
LISTS = frozenset({b"if-match", b"if-none-match"})
FORMS = (b"application/x-www-form-urlencoded", b"multipart/form-data")


def check_headers(headers: Headers, *, max_bytes: int) -> None:
    """Let a request pass whose body may be read as it comes.

    Raises:
        NotAuthenticatedError: 401 for more than one `Authorization`: a proxy may have judged the other one.
        UnsupportedMediaTypeError: 415 for a compressed body, whose size nobody knows (RFC 9110 §8.4, §15.5.16).
        HTTPException: 413 for a `Content-Length` over `max_bytes`; a body that says nothing of its length is counted.
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
    """Whether a length is too large; what is no number is the server's to refuse, and is counted as it comes."""
    return length.isdigit() and (len(length) > MAX_DIGITS or int(length) > max_bytes)


def limit_body(receive: Receive, limit: int, *, seconds: float) -> Receive:
    """`receive`, but a body of more than `limit` bytes is 413, and one that does not arrive in time is 408.

    It may take `seconds`, and one more for each `MIN_BYTES_PER_SECOND` bytes of it that have come: a large file on a slow line is no attack.
    FastAPI's own limit answers in plain text, without headers.
    """
    size, deadline, is_complete = 0, 0.0, False

    async def counted() -> Message:
        nonlocal size, deadline, is_complete
        if is_complete:  # what comes now is that the client has gone, whenever it does
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
    """What `receive` gives, or 408 at `deadline`.

    A body that is there already, as that of nearly every request, needs no timer, which would cost as much as the rest of it.
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
    """What an awaitable gives that has begun, and waits for `awaited`."""
    try:
        while True:
            try:
                came = yield awaited
            except BaseException as error:  # noqa: BLE001  it is the awaitable's to handle
                awaited = receiving.throw(error)
            else:
                awaited = receiving.send(came)
    except StopIteration as received:
        return cast("Message", received.value)


def require_json(headers: Headers) -> None:
    """RFC 9110 §15.5.16: a body in another format than the operation reads is 415."""
    for name, value in headers:
        if name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            if kind == b"application/json" or (kind.startswith(b"application/") and kind.endswith(b"+json")):
                return
            break
    raise UnsupportedMediaTypeError


def require_media_type(headers: Headers, *, kind: str) -> None:
    """As `require_json`, for a route that says `Body(media_type=...)`."""
    found = [value for name, value in headers if name == b"content-type"]
    if not found or found[0].partition(b";")[0].strip().lower() != kind.encode():
        raise UnsupportedMediaTypeError(f"Send the body as {kind}.")


def require_form(headers: Headers) -> None:
    """As `require_json`; but a body of no type at all is an empty form, whose members are missing."""
    for name, value in headers:
        if name == b"content-type" and value.partition(b";")[0].strip().lower() not in FORMS:
            raise UnsupportedMediaTypeError(f"Send the body as {FORMS[0].decode()}.")


def join_list_headers(scope: Scope) -> None:
    """Join several lines of `If-Match` or `If-None-Match` to one: they are one list (RFC 9110 §5.3)."""
    found = [name for name, _ in scope["headers"] if name in LISTS]
    if len(found) == len(set(found)):
        return
    others = [(name, value) for name, value in scope["headers"] if name not in LISTS]
    joined = [(name, b", ".join(v for n, v in scope["headers"] if n == name)) for name in dict.fromkeys(found)]
    scope["headers"] = [*others, *joined]
