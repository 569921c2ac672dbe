"""Measure exports and imports of many rows: `python -m perf.transfer --rows 1000000 --database sqlite`.

It fills a table with books and starts one worker. Then it exports all books in both formats and imports new ones in
both, over one loopback connection. For each transfer it prints seconds, rows per second, megabytes, the CPU of the
server, and how much the memory of the server grew: its peak during the transfer (VmHWM, reset before it) minus what it
held before. A wrong number of rows ends the run.
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

from perf.app.compare.equivalence_check import sign_in
from perf.app.compare.targets import ROWHOUSE, BookServer
from perf.app.datasets.benchmark_rows import CATEGORY_ID, fill
from perf.harness.client import HOST
from perf.harness.servers import postgres, serve, sqlite

TIMEOUT_SECONDS = 600.0
BOOKS = ROWHOUSE.books_path
MEGABYTE, KILOBYTE = 1_000_000, 1024
CHUNK_ROWS = 500
MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


class TransferError(RuntimeError):
    """A transfer failed, or had a wrong number of rows, so its time means nothing."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One transfer. `first_seconds` is the time to the first byte; sizes and memory are in megabytes."""

    name: str
    rows: int
    seconds: float
    first_seconds: float
    cpu_seconds: float
    size: float
    memory_before: float
    growth: float

    def __str__(self) -> str:
        """Return a row of the table."""
        speed = self.rows / self.seconds
        return (
            f"| {self.name} | {self.rows:,} | {self.seconds:.1f} | {self.first_seconds:.3f} | {speed:,.0f} "
            f"| {self.size:.0f} | {self.cpu_seconds:.1f} | {self.memory_before:.0f} | {self.growth:+.1f} |"
        )


HEAD = (
    "| transfer | rows | seconds | to first byte | rows/s | MB | server CPU s | MB before | peak above it, MB |\n"
    "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
)


def memory(server: BookServer, word: str) -> float:
    """Return a line of /proc/PID/status in megabytes: VmRSS is the memory now, VmHWM its peak."""
    lines = Path(f"/proc/{server.process.pid}/status").read_text(encoding="ascii").splitlines()
    found = next(line for line in lines if line.startswith(word))
    return int(found.split()[1]) * KILOBYTE / MEGABYTE


def measure(server: BookServer, name: str, transfer: Callable[[], tuple[int, int, float]]) -> Figure:
    """Run a transfer that returns rows, bytes and the seconds to the first byte; return its figures."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5", encoding="ascii")
    before, cpu, started = memory(server, "VmRSS"), server.cpu_seconds(), time.perf_counter()
    rows, size, first = transfer()
    return Figure(
        name=name,
        rows=rows,
        seconds=time.perf_counter() - started,
        first_seconds=first,
        cpu_seconds=server.cpu_seconds() - cpu,
        size=size / MEGABYTE,
        memory_before=before,
        growth=memory(server, "VmHWM") - before,
    )


def export(client: httpx2.Client, kind: str, query: str = "") -> tuple[int, int, float]:
    """Read a whole export; return its rows, its bytes and the seconds to the first byte."""
    started, first, size, lines = time.perf_counter(), 0.0, 0, 0
    with client.stream("GET", f"{BOOKS}/export?format={kind}{query}") as response:
        if response.status_code != httpx2.codes.OK:
            raise TransferError(response.read().decode())
        for chunk in response.iter_raw():
            first = first or time.perf_counter() - started
            size += len(chunk)
            lines += chunk.count(b"\n")
    return lines - (kind == "csv"), size, first


def books(kind: str, *, rows: int) -> Iterator[bytes]:
    """Yield a file of new books in chunks."""
    names = ("title", "author", "description", "price", "stock", "category_id")
    if kind == "csv":
        yield ",".join(names).encode() + b"\n"
    for start in range(0, rows, CHUNK_ROWS):
        block = [_book(f"{kind} {number}", number) for number in range(start, min(start + CHUNK_ROWS, rows))]
        if kind == "csv":
            text = io.StringIO(newline="")
            csv.writer(text).writerows([book[name] for name in names] for book in block)
            yield text.getvalue().encode()
        else:
            yield b"".join(json.dumps(book).encode() + b"\n" for book in block)


def _book(title: str, number: int) -> dict[str, Any]:
    text = f"How the people behind door {number} came to live there, and why they stayed."
    return {
        "title": title,
        "author": f"Author {number % 500}",
        "description": text,
        "price": (500 + number % 4500) / 100,
        "stock": number % 100,
        "category_id": CATEGORY_ID,
    }


def send(client: httpx2.Client, kind: str, *, rows: int, token: str) -> tuple[int, int, float]:
    """Import a file that is generated while it is sent, as a client sends one from disk."""
    started, size = time.perf_counter(), 0

    def counted() -> Iterator[bytes]:
        nonlocal size
        for chunk in books(kind, rows=rows):
            size += len(chunk)
            yield chunk

    headers = {"Authorization": f"Bearer {token}", "Content-Type": MEDIA_TYPES[kind]}
    response = client.post(f"{BOOKS}/import", content=counted(), headers=headers)
    if response.status_code != httpx2.codes.CREATED:
        raise TransferError(response.text)
    return int(response.json()["created"]), size, time.perf_counter() - started


def run(server: BookServer, *, rows: int, imported: int) -> Iterator[Figure]:
    """Yield the figures of every transfer, after a small one as a warm-up."""
    with httpx2.Client(base_url=f"http://{HOST}:{server.port}", timeout=TIMEOUT_SECONDS) as client:
        for kind in MEDIA_TYPES:
            export(client, kind, "&id__lte=10000")
        for kind in MEDIA_TYPES:
            figure = measure(server, f"export {kind}", partial(export, client, kind))
            if figure.rows != rows:
                raise TransferError(f"{figure.rows} of {rows} rows were exported")
            yield figure
        for kind in MEDIA_TYPES:
            token = sign_in(server)
            yield measure(server, f"import {kind}", partial(send, client, kind, rows=imported, token=token))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
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
