"""Loads the application of a project for a command that only looks at it. Must not serve it."""

from fastapi import FastAPI

from rowhouse.cli.errors import CommandError
from rowhouse.cli.project import find_project, load_application
from rowhouse.cli.serve import explained, print_when_debugging


def load() -> FastAPI:
    """Return the application of the project in the working directory. LOG_LEVEL=debug shows the traceback of an error.

    Raises:
        CommandError: with one sentence that says what is wrong, and where.
    """
    try:
        return load_application(find_project())
    except Exception as error:  # the code of a project may raise anything
        print_when_debugging(error)
        raise CommandError(explained(error)) from error
