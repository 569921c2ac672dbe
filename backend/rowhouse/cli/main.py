"""The command `rowhouse`: serve, migrate, create an administrator, list the routes, print the OpenAPI document.

Each command works on the project in the working directory (`rowhouse.cli.project`). Exits with 0 on success, with 1
and one sentence on standard error when it cannot do its work, and with 2 for wrong arguments. Imports a command's code
when that command runs.
"""

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from rowhouse.cli.project import VARIABLE

if TYPE_CHECKING:
    from fastapi import FastAPI

AppOption = Annotated[
    str | None,
    typer.Option("--app", metavar="MODULE:FACTORY", help="The application; [tool.rowhouse] app unless given."),
]
# These commands parse their own arguments, `--help` too.
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
rowhouse = typer.Typer(
    name="rowhouse",
    help="Serve and migrate a project whose API is made of SQLModel classes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@rowhouse.command(context_settings=PASSED_ON)
def run(context: typer.Context, app: AppOption = None) -> NoReturn:
    """Serve the application. Takes every option of uvicorn."""
    from rowhouse.cli import serve

    _select(app)
    if "--help" in context.args:
        serve.print_help()
        raise typer.Exit
    sys.exit(serve.main(context.args))


@rowhouse.command(context_settings=PASSED_ON)
def migrate(context: typer.Context, app: AppOption = None) -> NoReturn:
    """Bring the database to the models; write the missing migration in development."""
    from rowhouse.cli import migrate

    _select(app)
    sys.exit(migrate.run(context.args))


@rowhouse.command(context_settings=PASSED_ON)
def lint_migrations(context: typer.Context) -> NoReturn:
    """Check the project's migrations with squawk for what would block a busy server."""
    from rowhouse.cli import lint_migrations

    sys.exit(lint_migrations.main(context.args))


@rowhouse.command(context_settings=PASSED_ON)
def create_admin(context: typer.Context) -> NoReturn:
    """Create an administrator, or make one of an existing account."""
    from rowhouse.cli import create_admin

    sys.exit(create_admin.main(context.args))


@rowhouse.command()
def routes(app: AppOption = None) -> None:
    """List every operation: method, path, operation id, who may call it, and its time bound."""
    from rowhouse.cli.routes import table

    print(table(_load(app)))


@rowhouse.command()
def openapi(app: AppOption = None) -> None:
    """Print the OpenAPI document as JSON."""
    print(json.dumps(_load(app).openapi(), indent=2, ensure_ascii=False))


def _select(app: str | None) -> None:
    """Choose the application of this process and of the server processes that it starts."""
    if app is not None:
        os.environ[VARIABLE] = app


def _load(app: str | None) -> "FastAPI":
    from rowhouse.cli.project import find_project, load_application
    from rowhouse.cli.serve import START_ERRORS, explained

    _select(app)
    try:
        return load_application(find_project())
    except START_ERRORS as error:
        print(f"Rowhouse cannot load the application. {explained(error)}", file=sys.stderr)
        raise typer.Exit(1) from None


def main() -> None:
    """Run the command line."""
    rowhouse()
