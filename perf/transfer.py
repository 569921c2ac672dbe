"""Exports and imports of many rows: `python -m perf.transfer --rows 1000000 --database sqlite`.

Fills a table with books, starts one worker, exports all of them in both formats and imports so many others in both, over loopback
and one connection. For each it prints seconds, rows a second, megabytes, the server's CPU, and how far the server's memory grew: its
peak during the transfer (VmHWM, which the kernel is told to begin anew) above what it held before it. A wrong number of rows ends
the run.
"""

import argparse
import csv
import io
import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from perf.apps import ROWHOUSE
from perf.client import HOST
from perf.fill import CATEGORY_ID, fill
from perf.proof import sign_in
from perf.servers import Server, postgres, serve, sqlite

TIMEOUT_SECONDS = 600.0
BOOKS = ROWHOUSE.books_path
MEGABYTE, KILOBYTE = 1_000_000, 1024
PIECE_ROWS = 500
MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


class WrongAnswerError(RuntimeError):
    """A transfer did not give what it should, so its time says nothing."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One transfer. `first_seconds` is the time to the answer's first byte; memory is in megabytes."""

    name: str
    rows: int
    seconds: float
    first_seconds: float
    cpu_seconds: float
    size: float
    held: float
    growth: float

    def __str__(self) -> str:
        speed = self.rows / self.seconds
        return (
            f"| {self.name} | {self.rows:,} | {self.seconds:.1f} | {self.first_seconds:.3f} | {speed:,.0f} | {self.size:.0f} "
            f"| {self.cpu_seconds:.1f} | {self.held:.0f} | {self.growth:+.1f} |"
        )


HEAD = (
    "| transfer | rows | seconds | to first byte | rows/s | MB | server CPU s | MB held before | peak above it, MB |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def memory(server: Server, word: str) -> float:
    """A line of the process's status, in megabytes: VmRSS is what it holds, VmHWM the most it held."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii").splitlines()
    found = next(line for line in lines if line.startswith(word))
    return int(found.split()[1]) * KILOBYTE / MEGABYTE


def measure(server: Server, name: str, transfer: Callable[[], tuple[int, int, float]]) -> Figure:
    """The figures of a transfer, which gives rows, bytes and the seconds to its first byte."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5", encoding="ascii")
    held, cpu, started = memory(server, "VmRSS"), server.cpu_seconds(), time.perf_counter()
    rows, size, first = transfer()
    return Figure(
        name=name,
        rows=rows,
        seconds=time.perf_counter() - started,
        first_seconds=first,
        cpu_seconds=server.cpu_seconds() - cpu,
        size=size / MEGABYTE,
        held=held,
        growth=memory(server, "VmHWM") - held,
    )


def export(client: httpx2.Client, kind: str, query: str = "") -> tuple[int, int, float]:
    """Read a whole export."""
    started, first, size, lines = time.perf_counter(), 0.0, 0, 0
    with client.stream("GET", f"{BOOKS}/export?format={kind}{query}") as answer:
        if answer.status_code != httpx2.codes.OK:
            raise WrongAnswerError(answer.read().decode())
        for piece in answer.iter_raw():
            first = first or time.perf_counter() - started
            size += len(piece)
            lines += piece.count(b"\n")
    return lines - (kind == "csv"), size, first


def books(kind: str, *, rows: int) -> Iterator[bytes]:
    """A file of new books, in pieces."""
    names = ("title", "author", "description", "price", "stock", "category_id")
    if kind == "csv":
        yield ",".join(names).encode() + b"\n"
    for start in range(0, rows, PIECE_ROWS):
        block = [_book(f"{kind} {number}", number) for number in range(start, min(start + PIECE_ROWS, rows))]
        if kind == "csv":
            text = io.StringIO(newline="")
            csv.writer(text).writerows([book[name] for name in names] for book in block)
            yield text.getvalue().encode()
        else:
            yield b"".join(json.dumps(book).encode() + b"\n" for book in block)


def _book(title: str, number: int) -> dict[str, Any]:
    text = f"How the people behind door {number} came to live there, and why they stayed."
    return {"title": title, "author": f"Author {number % 500}", "description": text, "price": (500 + number % 4500) / 100,
            "stock": number % 100, "category_id": CATEGORY_ID}  # fmt: skip


def send(client: httpx2.Client, kind: str, *, rows: int, token: str) -> tuple[int, int, float]:
    """Import a file that is made while it is sent, as a client does that reads it from a disk."""
    started, size = time.perf_counter(), 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for piece in books(kind, rows=rows):
            size += len(piece)
            yield piece

    headers = {"Authorization": f"Bearer {token}", "Content-Type": MEDIA_TYPES[kind]}
    answer = client.post(f"{BOOKS}/import", content=counted(), headers=headers)
    if answer.status_code != httpx2.codes.CREATED:
        raise WrongAnswerError(answer.text)
    return int(answer.json()["created"]), size, time.perf_counter() - started


def run(server: Server, *, rows: int, imported: int) -> Iterator[Figure]:
    """Every transfer, after a small one that warms up."""
    with httpx2.Client(base_url=f"http://{HOST}:{server.port}", timeout=TIMEOUT_SECONDS) as client:
        for kind in MEDIA_TYPES:
            export(client, kind, "&id__lte=10000")
        for kind in MEDIA_TYPES:
            figure = measure(server, f"export {kind}", partial(export, client, kind))
            if figure.rows != rows:
                raise WrongAnswerError(f"{figure.rows} of {rows} rows came")
            yield figure
        for kind in MEDIA_TYPES:
            token = sign_in(server)
            yield measure(server, f"import {kind}", partial(send, client, kind, rows=imported, token=token))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.transfer", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="exported")
    parser.add_argument("--imported", type=int, default=100_000, help="imported, in each format")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args(arguments)
    with ExitStack() as stack:
        if options.database == "sqlite":
            url = stack.enter_context(sqlite())
        else:
            url = stack.enter_context(stack.enter_context(postgres()).database("perf_transfer"))
        server = stack.enter_context(serve(ROWHOUSE, url))
        fill(url, books=options.rows, with_user=False)
        print(HEAD)
        for figure in run(server, rows=options.rows, imported=options.imported):
            print(figure, flush=True)


if __name__ == "__main__":
    main()
