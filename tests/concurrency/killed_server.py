"""Kills a server during a race, and returns the writes that it had acknowledged."""

from collections.abc import Callable, Iterator
from threading import Semaphore
from typing import TypeVar

import httpx2

from tests.concurrency.clients import CLIENTS, PATIENCE_SECONDS
from tests.concurrency.servers import Server, together

T = TypeVar("T")
ENOUGH = 12  # acknowledgements before the server is killed
Work = Callable[[httpx2.Client, int], Iterator[T]]


def killed_amid(victim: Server, work: Work[T]) -> list[list[T]]:
    """Kill a server while sixteen clients send requests. Return what it acknowledged to each.

    `work(client, number)` never ends, and yields what the server has acknowledged.
    """
    acknowledged = Semaphore(0)

    def until_it_dies(number: int) -> list[T]:
        told: list[T] = []
        with httpx2.Client(base_url=f"{victim.url}/api/v1", timeout=PATIENCE_SECONDS) as client:
            try:
                for answer in work(client, number):
                    told.append(answer)
                    acknowledged.release()
            except httpx2.TransportError:
                return told
        raise AssertionError("the work came to an end before the server did")

    def work_or_kill(number: int) -> list[T]:
        if number < CLIENTS:
            return until_it_dies(number)
        for _ in range(ENOUGH):
            assert acknowledged.acquire(timeout=PATIENCE_SECONDS), "too little was acknowledged"
        victim.kill()
        return []

    *by_client, _ = together(work_or_kill, CLIENTS + 1)
    assert sum(map(len, by_client)) >= ENOUGH
    return by_client
