"""Reads `.env` for commands: options of the server, such as PORT, and names that look like a setting and are none.

`Settings` reads the settings themselves. Other lines of the file may belong to other programs, and are left alone.
"""

import difflib
import os
from collections.abc import Iterator, Mapping

from dotenv import dotenv_values

from rowhouse.core.settings import ProjectSettings

# Options of the server that are no settings, and the words of uvicorn's command line. `scripts/run` reads them too.
OPTIONS = {"HOST": "--host", "PORT": "--port", "WORKERS": "--workers", "FORWARDED_ALLOW_IPS": "--forwarded-allow-ips"}
DEFAULTS = {"HOST": "127.0.0.1", "PORT": "8000"}
MAX_PORT, MAX_WORKERS = 65535, 1000
SIMILARITY = 0.8


def server_words() -> list[str]:
    """Return uvicorn's words for the options that the environment sets, else `.env`. An empty value sets nothing.

    Only FORWARDED_ALLOW_IPS may be empty in the environment: then no proxy is believed.

    Raises:
        ValueError: PORT is not a port, or WORKERS not a number of processes.
    """
    file = dotenv_values(".env")
    said = {name: os.environ.get(name) or file.get(name) or DEFAULTS.get(name) for name in OPTIONS}
    said["FORWARDED_ALLOW_IPS"] = os.environ.get("FORWARDED_ALLOW_IPS", file.get("FORWARDED_ALLOW_IPS"))
    _require_number(said, "PORT", "a port", largest=MAX_PORT)
    _require_number(said, "WORKERS", "a number of processes", largest=MAX_WORKERS)
    return [word for name, value in said.items() if value is not None for word in (OPTIONS[name], value)]


def _require_number(said: Mapping[str, str | None], name: str, kind: str, *, largest: int) -> None:
    text = said[name]
    if text is not None and not (text.isdecimal() and int(text) <= largest):
        raise ValueError(f"{name}={text} is not {kind}: write a number from 1 to {largest}.")


def misspelt() -> Iterator[str]:
    """Yield a sentence for each line of `.env` that is no setting, but looks like one.

    Import the application first: its own settings count only then.
    """
    known = {*OPTIONS, *_names(ProjectSettings)}
    for name in dotenv_values(".env"):
        close = difflib.get_close_matches(name.upper(), known, n=1, cutoff=SIMILARITY)
        if name.upper() not in known and close:
            yield f".env sets {name}, which is no setting; did you mean {close[0]}?"


def _names(kind: type[ProjectSettings]) -> Iterator[str]:
    """Yield the names of the settings of a class and of the classes derived from it, the project's included."""
    yield from (name.upper() for name in kind.model_fields)
    for derived in kind.__subclasses__():
        yield from _names(derived)
