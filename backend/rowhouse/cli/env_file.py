"""Reads `.env` for commands: HOST and PORT, and names that look like a setting and are none.

`Settings` reads the settings themselves. Other lines of the file may belong to other programs, and are left alone.
"""

import difflib
import os
from collections.abc import Iterator

from dotenv import dotenv_values

from rowhouse.core.settings import ProjectSettings

SCRIPTS = ("HOST", "PORT", "FORWARDED_ALLOW_IPS")  # `scripts/run` and `rowhouse run` read them
SIMILARITY = 0.8


def address() -> tuple[str, str]:
    """Return HOST and PORT: from the environment, else from `.env`, else `127.0.0.1` and `8000`."""
    file = dotenv_values(".env")
    return (
        os.environ.get("HOST") or file.get("HOST") or "127.0.0.1",
        os.environ.get("PORT") or file.get("PORT") or "8000",
    )


def misspelt() -> Iterator[str]:
    """Yield a sentence for each line of `.env` that is no setting, but looks like one.

    Import the application first: its own settings count only then.
    """
    known = {*SCRIPTS, *_names(ProjectSettings)}
    for name in dotenv_values(".env"):
        close = difflib.get_close_matches(name.upper(), known, n=1, cutoff=SIMILARITY)
        if name.upper() not in known and close:
            yield f".env sets {name}, which is no setting; did you mean {close[0]}?"


def _names(kind: type[ProjectSettings]) -> Iterator[str]:
    """Yield the names of the settings of a class and of the classes derived from it, the project's included."""
    yield from (name.upper() for name in kind.model_fields)
    for derived in kind.__subclasses__():
        yield from _names(derived)
