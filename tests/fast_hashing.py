"""Cheap password hashes, because the tests sign in hundreds of callers. `auth` and `security` test the real cost."""

from collections.abc import Iterator
from contextlib import contextmanager

import bcrypt
import pytest

from rowhouse.auth import service
from rowhouse.core import security

CHEAP = 4


def cheapen(patch: pytest.MonkeyPatch) -> None:
    """Make hashes of few rounds, until the patch is undone; what they then lack is made up for at a login."""
    dear = bcrypt.gensalt
    patch.setattr(bcrypt, "gensalt", lambda _cost: dear(CHEAP))
    patch.setattr(service, "_dummy_hashes", {})
    # As dear as the settings say, as far as a login knows: it would make up for what they lack.
    patch.setattr(security, "cost_of", lambda _hashed: 16)


@contextmanager
def cheap_hashes() -> Iterator[None]:
    """What is hashed and checked within is cheap."""
    with pytest.MonkeyPatch.context() as patch:
        cheapen(patch)
        yield
