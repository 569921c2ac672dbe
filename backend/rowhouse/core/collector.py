"""Pauses the garbage collector while modules are imported and an application is built."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collector() -> Iterator[None]:
    """Pause the collection of reference cycles in this process.

    Building thousands of objects that stay, such as routes and schemas, takes a third longer while the collector runs.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def loading() -> Iterator[None]:
    """Pause the collector while modules are imported, and keep it from looking through them afterwards.

    They stay as long as the process. Looking through them again and again took a tenth of a start.
    """
    with paused_collector():
        yield
        gc.freeze()
