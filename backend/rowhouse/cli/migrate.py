"""Brings the database to the models: `rowhouse migrate ["what changed"]`.

Applies the pending migrations of the engine and of the project. In development it then compares the database with the
models. A change that only adds is written as a migration and applied. Any other change needs a message. A migration
that loses data is written and shown; the next `rowhouse migrate` applies it. Several migrators wait for each other.

    rowhouse migrate "title instead of name" --rename prices.name=title
    rowhouse migrate "no more names" --drop prices.name
    rowhouse migrate "rates instead of prices" --rename prices=rates
    rowhouse migrate "split names" --empty     write an empty migration, to be filled in by hand
    rowhouse migrate --check      change nothing; exit with 1 if the database lacks a migration

Writes into the project's branch of migrations only. In a project without `alembic.ini` it creates that and `alembic/`.
"""

import argparse
import subprocess  # nosec B404  starts ruff
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.operations import ops
from alembic.script import Script, ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from sqlmodel import SQLModel

from rowhouse.cli.env_file import misspelt
from rowhouse.cli.lint_migrations import excuse_missing
from rowhouse.cli.project import find_project, require_own_module
from rowhouse.cli.serve import IMPORT_ERRORS, StartError, explained, print_when_debugging
from rowhouse.core.settings import Environment, Settings
from rowhouse.db.engine import create_engine, disposing
from rowhouse.migrations.autogenerate import only_comments
from rowhouse.migrations.defaults import UnfillableError
from rowhouse.migrations.renames import Decisions, UndecidedError, ask, parse
from rowhouse.migrations.sqlite.checks import UnsafeMigrationError
from rowhouse.migrations.templates import create_missing, create_template
from rowhouse.migrations.writing import Pending, Plan, pending, plan, position, write
from rowhouse.registration.name_checks import check_references
from rowhouse.registration.one_database import check_classes

EXCUSE = "as rowhouse migrate wrote it; a large table that servers write to needs another way (docs/migrations.md)"
UNDECIDED = (UndecidedError, UnfillableError)


@dataclass(frozen=True)
class Migrator:
    """The migrations of a project, the settings that name its database, and the command's arguments."""

    directory: Path
    config: Config
    settings: Settings
    given: argparse.Namespace

    @property
    def metadata(self) -> sa.MetaData:
        """The models, as the project's `env.py` gives them when it has run; until then those that are imported."""
        found: sa.MetaData = self.config.attributes.get("metadata", SQLModel.metadata)
        return found

    @property
    def command(self) -> str:
        """The command as a developer types it here."""
        return "scripts/migrate" if (self.directory / "scripts/migrate").exists() else "rowhouse migrate"

    def shown(self, path: Path) -> str:
        """Return a path as it is shown: relative to the project."""
        return str(path.relative_to(self.directory) if path.is_relative_to(self.directory) else path)


@contextmanager
def connected(settings: Settings) -> Iterator[sa.Connection]:
    """Open a connection like the application's. It is closed with the block."""
    with disposing(create_engine(settings)) as engine, engine.connect() as connection:
        yield connection


def differences(migrator: Migrator, decisions: Decisions) -> Plan:
    """Compare the database with the models."""
    with connected(migrator.settings) as connection:
        return plan(connection, migrator.metadata, decisions)


def describe(operations: Sequence[ops.MigrateOperation]) -> str:
    """Return a message for a migration that only adds, or changes comments."""
    if all(map(only_comments, operations)):
        return "change comments"
    tables = [o.table_name for o in operations if isinstance(o, ops.CreateTableOp)]
    columns = [f"{o.table_name} {o.column.name}" for o in operations if isinstance(o, ops.AddColumnOp)]
    return "add " + " and ".join(tables or columns or ["indexes"])


def lacking(migrator: Migrator) -> list[Pending]:
    """Return the migrations that the database lacks. A database at an unknown revision is newer and lacks none."""
    scripts = ScriptDirectory.from_config(migrator.config)
    with connected(migrator.settings) as connection:
        try:
            return pending(connection, scripts)
        except RevisionError:
            return []


def check(migrator: Migrator) -> int:
    """Return 1 if the database lacks a migration. Return 0 if it does not answer: `/ready` reports that."""
    try:
        missing = lacking(migrator)
    except sa.exc.DBAPIError as error:
        print(f"The database does not answer ({type(error.orig).__name__}); /ready says when it does.", file=sys.stderr)
        return 0
    if missing:
        names = ", ".join(one.revision for one in missing)
        said = f"The database lacks {names}. Run {migrator.command} first, as the role that owns it."
        print(said, file=sys.stderr)
    return int(bool(missing))


def read_words(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="rowhouse migrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("message", nargs="?", help="what changed; becomes the name of the file")
    parser.add_argument("--rename", action="append", default=[], metavar="[TABLE.]OLD=NEW", help="keep the values")
    parser.add_argument("--drop", action="append", default=[], metavar="TABLE[.COLUMN]", help="it was not renamed")
    parser.add_argument("--empty", action="store_true", help="write an empty migration with this message")
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--start", action="store_true", help="before a start: apply nothing that loses data")
    given = parser.parse_args(arguments)
    if given.empty and not given.message:
        parser.error("--empty needs a message")
    return given


def main(arguments: Sequence[str], *, metadata: sa.MetaData | None = None) -> int:
    """Migrate. Return 1 if the database lacks a migration, or the models changed in a way that needs a decision.

    `metadata` replaces the models that the project's `env.py` names.
    """
    given, settings, directory = read_words(arguments), Settings(), Path.cwd()
    _create_files(directory, settings)
    if metadata is None:
        require_own_module(find_project(directory))
    config = Config(directory / "alembic.ini", stdout=sys.stderr)
    if metadata is not None:
        config.attributes["metadata"] = metadata
    migrator = Migrator(directory, config, settings, given)
    if given.start and metadata is None:
        _check_spelling(directory)
    if given.check:
        return check(migrator)
    if given.start or given.message:
        losing = [one for one in lacking(migrator) if one.loses]
        if losing:
            print("\n".join(_losing(migrator, one) for one in losing))
            return 1
    _upgrade(migrator)
    if settings.environment is not Environment.DEVELOPMENT:
        return 0
    return _write_empty(migrator) if given.empty else _write(migrator)


def _check_spelling(directory: Path) -> None:
    """Refuse a misspelt setting in `.env` before the database of the default settings is created."""
    project = find_project(directory)
    project.make_importable()
    import_module(project.module)  # for the project's own settings
    if wrong := " ".join(misspelt()):
        raise StartError(wrong)


def _create_files(directory: Path, settings: Settings) -> None:
    """Create the files that Alembic needs, in development."""
    if (directory / "alembic.ini").exists():
        return
    if settings.environment is not Environment.DEVELOPMENT:
        raise CommandError(f"there is no alembic.ini in {directory}")
    project = find_project(directory)
    project.make_importable()
    if find_spec(project.module) is None:
        raise CommandError(
            f"there is no module {project.module}; name the application in pyproject.toml, [tool.rowhouse] "
            'app = "module:factory", or by --app'
        )
    created = create_missing(directory, module=project.module, source=project.source)
    print(f"Created {', '.join(created)}; commit them.")


def _losing(migrator: Migrator, one: Pending) -> str:
    losses = "".join(f"\n    {loss}" for loss in one.loses)
    return f"{migrator.shown(one.path)} is not applied, for it loses{losses}\nLook at it, then run {migrator.command}."


def _upgrade(migrator: Migrator) -> None:
    """Apply the pending migrations of all branches. Name their files if that fails."""
    missing = lacking(migrator)
    try:
        command.upgrade(migrator.config, "heads")
    except (sa.exc.DBAPIError, UnsafeMigrationError):
        names = ", ".join(migrator.shown(one.path) for one in missing)
        print(f"Nothing was applied of: {names}. Correct the file, or delete it and write it again.", file=sys.stderr)
        raise


def _ensure_template(migrator: Migrator) -> None:
    """Create the template of migrations. A project of `rowhouse new` gets it with its first migration."""
    folder = Path(ScriptDirectory.from_config(migrator.config).dir)
    if create_template(folder):
        print(f"Created {migrator.shown(folder / 'script.py.mako')}; commit it.")


def _write_empty(migrator: Migrator) -> int:
    _ensure_template(migrator)
    script = command.revision(migrator.config, message=migrator.given.message, **position(migrator.config))
    if isinstance(script, Script):  # always, of one revision
        print(f"Wrote {migrator.shown(Path(script.path))}. Fill it in, then run {migrator.command}.")
    return 0


def _write(migrator: Migrator) -> int:
    """Write the migration that the models need. Apply it if it loses nothing."""
    given = migrator.given
    decisions = parse(given.rename, given.drop)
    check_references(migrator.metadata.tables.values())
    with connected(migrator.settings) as connection:
        check_classes(migrator.metadata, connection.dialect)
    try:
        changes = differences(migrator, decisions)
    except UndecidedError as undecided:
        if not (given.message and sys.stdin.isatty()):
            raise
        said = ask(undecided.candidates, input)
        decisions = replace(decisions, renames=decisions.renames + said.renames, drops=decisions.drops | said.drops)
        changes = differences(migrator, decisions)
    if not changes.operations:
        return 0
    if not given.message and not changes.only_adds:
        losses = "".join(f"\n    {loss.what}" for loss in changes.losses)
        lost = f" That would lose{losses}\n" if losses else " "
        print(f'The models have changed.{lost}Run {migrator.command} "what changed".')
        return 1
    return _apply_new(migrator, message=given.message or describe(changes.operations), decisions=decisions)


def _apply_new(migrator: Migrator, *, message: str, decisions: Decisions) -> int:
    _ensure_template(migrator)
    with connected(migrator.settings) as connection:
        written = write(migrator.config, connection, migrator.metadata, message=message, decisions=decisions)
    if written is None:
        return 0
    path, made = written
    shown = migrator.shown(path)
    _complete(migrator, path)
    if made.losses:
        print(f"{path.read_text()}\nWrote {shown}.")
        losses = "".join(f"\n    {loss.what}" for loss in made.losses)
        print(f"It is not applied, for it loses{losses}\nLook at it, then run {migrator.command}.")
        return 0
    is_applied = False
    try:
        command.upgrade(migrator.config, "heads")
        is_applied = True
    finally:
        if not is_applied:
            path.unlink()
            print(f"{shown} could not be applied and was deleted; the database is as it was.", file=sys.stderr)
    print(f"Wrote and applied {shown}; look at it before you commit it.")
    return 0


def _complete(migrator: Migrator, path: Path) -> None:
    """Write the excuses and format the file. If that fails, delete the file, whose losses nobody has seen."""
    is_complete = False
    try:
        excuse_missing(migrator.directory, path, EXCUSE, metadata=migrator.metadata)
        _format(path, migrator.directory)
        is_complete = True
    finally:
        if not is_complete:
            path.unlink()
            print(f"{migrator.shown(path)} could not be checked and was deleted; nothing was applied.", file=sys.stderr)


def _format(path: Path, directory: Path) -> None:
    """Format a file if ruff is installed."""
    if find_spec("ruff"):
        for arguments in (["check", "--fix", "--exit-zero"], ["format"]):
            words = [sys.executable, "-m", "ruff", *arguments, "--quiet", str(path)]
            subprocess.run(words, check=True, cwd=directory)  # noqa: S603  # nosec B603  our own file


# A registration may be wrong, too: the migrations load the application for its classes.
STOPPERS = (*IMPORT_ERRORS, StartError, sa.exc.DBAPIError, sa.exc.ArgumentError)
UNKNOWN_REVISION = "Can't locate revision"


def run(arguments: Sequence[str], *, metadata: sa.MetaData | None = None) -> int:
    """Migrate. Return 1 and write one sentence if a setting, a decision or the database stops it.

    LOG_LEVEL=debug shows the traceback.
    """
    try:
        return main(arguments, metadata=metadata)
    except UNDECIDED as undecided:
        print(f"Nothing was written.\n{undecided}", file=sys.stderr)
    except CommandError as said:
        reason = str(said).rstrip(".")
        if UNKNOWN_REVISION in reason:
            reason += ": the database is of a newer version, or of another project; look at DATABASE_URL"
        print(f"Rowhouse cannot migrate: {reason}.", file=sys.stderr)
    except STOPPERS as error:
        print_when_debugging(error)
        print(f"Rowhouse cannot migrate. {explained(error)}", file=sys.stderr)
    return 1
