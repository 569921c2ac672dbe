"""Tells a person at the terminal what a command is doing, where that takes seconds. A command's result is on stdout."""

import sys


def show_progress(what: str) -> None:
    """Write a line to stderr at once."""
    print(f"{what} ...", file=sys.stderr, flush=True)
