"""One keep-alive connection that sends one request after another and times each: for figures that are compared pair by pair.

It blocks, in the process of who measures, so that requests to several servers can alternate; `perf.client` is for many connections.
"""

import socket
import time
from typing import Self

from perf.client import CONTENT_LENGTH, HEAD_END, HOST, Call

PIECE = 1 << 20


class WrongAnswerError(RuntimeError):
    """An answer was no success, so its time says nothing."""


class Wire:
    """A connection to a server on this machine; use as a context manager."""

    def __init__(self, port: int, *, timeout_seconds: float = 300) -> None:
        self._socket = socket.create_connection((HOST, port), timeout=timeout_seconds)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def milliseconds(self, call: Call) -> float:
        """How long one answer takes, from sending to its last byte.

        Raises:
            WrongAnswerError: it was no success, or had no content-length.
        """
        request = call.encode()
        started = time.perf_counter()
        self._socket.sendall(request)
        answer, wanted = b"", len(HEAD_END)
        while len(answer) < wanted or HEAD_END not in answer:
            piece = self._socket.recv(PIECE)
            if not piece:
                raise WrongAnswerError(f"{call.path}: the server hung up")
            answer += piece
            wanted = self._whole(answer)
        taken = (time.perf_counter() - started) * 1000
        if answer[9:10] != b"2":
            raise WrongAnswerError(f"{call.path}: {answer[:1000].decode(errors='replace')}")
        return taken

    def _whole(self, answer: bytes) -> int:
        """The bytes of the whole answer, as far as its head is there to tell."""
        end = answer.find(HEAD_END)
        length = CONTENT_LENGTH.search(answer, 0, end) if end >= 0 else None
        return end + len(HEAD_END) + int(length[1]) if length else len(answer)
