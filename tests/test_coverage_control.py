"""`tests.coverage_control` stops and starts tracing of a thread, and names directories that exist."""

import sys
from collections.abc import Callable
from threading import Thread
from typing import Any

import pytest

from tests.coverage_control import FOLLOWED_ON_BOTH, INSIDE, TESTS, UNFOLLOWED, UNFOLLOWED_FILES, follow


def trace(*_event: Any) -> None:
    """Follow nothing."""


def begin_with(tracer: Callable[..., None] | None, *wishes: bool) -> list[Any]:
    """What traces a thread of its own after each wish, where this tracer was there before them."""
    found = []

    def wish() -> None:
        sys.settrace(tracer)
        for wanted in wishes:
            follow(wanted=wanted)
            found.append(sys.gettrace())

    thread = Thread(target=wish)
    thread.start()
    thread.join()
    return found


def test_a_thread_is_left_alone_and_followed_again() -> None:
    """As often as it is asked for; asking twice is asking once."""
    assert begin_with(trace, True, False, False, True, True, False) == [trace, None, None, trace, trace, None]


def test_what_nothing_traced_is_not_traced_later() -> None:
    """Without coverage nothing is switched on; what another thread knows is its own."""
    assert begin_with(None, True, False, True) == [None, None, None]


@pytest.mark.parametrize("directory", sorted({*INSIDE, *UNFOLLOWED}))
def test_every_directory_is_there(directory: str) -> None:
    """A new name for one would be followed otherwise than before, and nobody would see it."""
    assert list((TESTS / directory).glob("test_*.py"))


def test_every_file_is_there() -> None:
    """As with the directories."""
    assert all((TESTS / path).is_file() for path in UNFOLLOWED_FILES if not path.startswith("app/"))
    assert all(list(TESTS.rglob(name)) for name in FOLLOWED_ON_BOTH)
