"""The command `rowhouse`: create a project and its entities, migrate, check, serve, describe, generate clients.

Each command but `new` works on the project in the working directory (`rowhouse.cli.project`). Exits with 0 on success,
with 1 and one sentence on standard error when it cannot do its work, and with 2 for wrong arguments. Imports a
command's code when that command runs.
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from rowhouse.cli.errors import CommandError
from rowhouse.cli.project import VARIABLE

if TYPE_CHECKING:
    from fastapi import FastAPI

AppOption = Annotated[
    str | None,
    typer.Option("--app", metavar="MODULE:FACTORY", help="The application; [tool.rowhouse] app unless given."),
]


class PolicyName(StrEnum):
    """A policy of a registration line."""

    ANYONE = "anyone"
    SIGNED_IN = "signed-in"
    ADMIN = "admin"


class Language(StrEnum):
    """A language that a client can be generated in."""

    TYPESCRIPT = "typescript"
    PYTHON = "python"


# These commands parse their own arguments, `--help` too.
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
rowhouse = typer.Typer(
    name="rowhouse",
    help="Serve and migrate a project whose API is made of SQLModel classes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@rowhouse.command()
def new(name: Annotated[str, typer.Argument(help="The name of the project and of its folder, such as shop.")]) -> None:
    """Create a project in a new folder, ready to run, to test and to commit."""
    from rowhouse.cli.scaffold.project import create_project

    with _one_sentence():
        created = create_project(name, Path.cwd())
    print(f"Created {name} with {len(created)} files:", *created, sep="\n    ")
    print(f"\nNext:\n    cd {name}\n    scripts/run      # serves it\n    scripts/test     # tests it")


@rowhouse.command()
def entity(
    name: Annotated[str, typer.Argument(help="The class, a singular in CamelCase, such as ChargePoint.")],
    fields: Annotated[
        list[str],
        typer.Argument(
            metavar="FIELD...",
            help="name:type. The types are str, int, float, bool, date, datetime, decimal, uuid, json and "
            "enum(a,b); the name of an entity makes a reference to it. '?' allows null, '!' makes unique, '=VALUE' is "
            "the default; id:uuid makes the key a UUID. Put single quotes around a '?', a '!' and brackets.",
        ),
    ],
    write: Annotated[
        PolicyName | None, typer.Option(show_default=PolicyName.SIGNED_IN.value, help="Who may write.")
    ] = None,
    read: Annotated[PolicyName, typer.Option(help="Who may read.")] = PolicyName.SIGNED_IN,
    owner: Annotated[
        str | None, typer.Option(help="The field with the account that a row belongs to, and that alone sees it.")
    ] = None,
    *,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Clients only read; a migration or a job writes.")
    ] = False,
) -> None:
    """Add an entity: its class, its line in api.py, its migration and a test.

    rowhouse entity Publisher name:str 'founded:int?' active:bool=true

    rowhouse entity Book title:str price:decimal publisher:Publisher --read anyone --write admin

    rowhouse entity Review 'kind:enum(short,long)' reader:User --owner reader

    rowhouse entity Country 'name:str!' --read anyone --read-only
    """
    from rowhouse.cli.scaffold.entity import add_entity

    with _one_sentence():
        policies = {"read": None if read is PolicyName.SIGNED_IN else read, "write": write}
        lines = add_entity(name, fields, **policies, owner=owner, read_only=read_only)
    print(*lines, sep="\n")


@rowhouse.command()
def adopt(
    database_url: Annotated[
        str, typer.Argument(metavar="DATABASE_URL", help="sqlite:///file.db, or postgresql://user:password@host/name.")
    ],
    *,
    writable: Annotated[bool, typer.Option("--writable", help="Let the API write, too.")] = False,
    write: Annotated[PolicyName, typer.Option(help="Who may write, once writing is allowed.")] = PolicyName.ADMIN,
    read: Annotated[PolicyName, typer.Option(help="Who may read.")] = PolicyName.SIGNED_IN,
    schema: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A schema to read; all unless given. May be repeated.")
    ] = None,
) -> None:
    """Adopt the tables of a database: their classes, and their lines in api.py.

    The API only reads until you take operations=("list", "get") out of a line. Migrations leave the tables alone.

    rowhouse adopt postgresql://shop:secret@db.example/shop --read anyone

    rowhouse adopt sqlite:///shop.db --writable --write signed-in
    """
    from rowhouse.cli.adopt.command import adopt

    policies = {"write": write} if read is PolicyName.SIGNED_IN else {"read": read, "write": write}
    with _one_sentence():
        lines = adopt(database_url, writable=writable, policies=policies, schemas=schema or ())
    print(*lines, sep="\n")


@rowhouse.command()
def check(
    app: AppOption = None,
    *,
    production: Annotated[bool, typer.Option("--production", help="Say what production still lacks.")] = False,
) -> None:
    """Check settings, registration, indexes and migrations. Exit with 1 if something is wrong."""
    from rowhouse.cli.reports import check

    _select(app)
    raise typer.Exit(check.run(production=production))


@rowhouse.command()
def client(
    language: Annotated[Language, typer.Argument(help="The language of the client.")],
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="The folder that it is written into.")],
    app: AppOption = None,
) -> None:
    """Generate a client from the OpenAPI document, and compile it."""
    from rowhouse.cli import client

    with _one_sentence():
        print(client.generate(language, _load(app).openapi(), directory))


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

    with _one_sentence():
        sys.exit(lint_migrations.main(context.args))


@rowhouse.command(context_settings=PASSED_ON)
def create_admin(context: typer.Context) -> NoReturn:
    """Create an administrator, or make one of an existing account."""
    from rowhouse.cli import create_admin

    sys.exit(create_admin.main(context.args))


@rowhouse.command(context_settings=PASSED_ON)
def load(context: typer.Context) -> NoReturn:
    """Call every operation of the project, and hold each to its SLO."""
    # By its name: the layers of the engine let `rowhouse.load` import this package, and not the other way round.
    run_load = import_module("rowhouse.load.runs.command").main
    sys.exit(run_load(context.args))


@rowhouse.command()
def routes(app: AppOption = None) -> None:
    """List every operation: method, path, operation id, who may call it, and its time bound."""
    from rowhouse.cli.reports.routes import table

    print(table(_load(app)))


@rowhouse.command()
def openapi(app: AppOption = None) -> None:
    """Print the OpenAPI document as JSON."""
    print(json.dumps(_load(app).openapi(), indent=2, ensure_ascii=False))


def _select(app: str | None) -> None:
    """Choose the application of this process and of the server processes that it starts."""
    if app is not None:
        os.environ[VARIABLE] = app


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Print the sentence of an error, and exit with its status."""
    try:
        yield
    except CommandError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(error.status) from None


def _load(app: str | None) -> "FastAPI":
    from rowhouse.cli.reports.loading import load

    _select(app)
    try:
        return load()
    except CommandError as error:
        print(f"Rowhouse cannot load the application. {error}", file=sys.stderr)
        raise typer.Exit(error.status) from None


def main() -> None:
    """Run the command line."""
    rowhouse()
