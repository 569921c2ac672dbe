"""Brings the database to the models: `scripts/migrate ["what changed"]`, or `python -m scripts.migrate`.

Applies the migrations that are pending. In development, when the models have grown since by what only adds, it also writes the
migration that follows and applies it. For another change give the message. What loses nothing is applied at once. What loses something
is written and shown, and applied by the next `scripts/migrate`. Several at once wait for each other.

    scripts/migrate "title instead of name" --rename prices.name=title
    scripts/migrate "no more names" --drop prices.name
    scripts/migrate "rates instead of prices" --rename prices=rates
    scripts/migrate --check      change nothing; end with 1 and a sentence when the database lacks a migration
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.operations import ops
from alembic.script import ScriptDirectory
from alembic.script.revision import RevisionError
from alembic.util import CommandError
from pydantic import ValidationError
from sqlmodel import SQLModel

import app.api  # noqa: F401  imports every model
from rowhouse.cli.serve import explained
from rowhouse.core.settings import Environment, Settings
from rowhouse.db.engine import create_engine
from rowhouse.migrations.defaults import UnfillableError
from rowhouse.migrations.renames import Decisions, UndecidedError, ask, parse
from rowhouse.migrations.sqlite.checks import UnsafeMigrationError
from rowhouse.migrations.writing import Pending, Plan, pending, plan, write

EXCUSE = "as scripts/migrate wrote it; a large table that servers write to wants another way (docs/migrations.md)"
ROOT = Path(__file__).resolve().parents[1]
UNDECIDED = (UndecidedError, UnfillableError)


@contextmanager
def connected(settings: Settings) -> Iterator[sa.Connection]:
    """A connection of the application's own kind, closed with the block."""
    engine = create_engine(settings)
    try:
        with engine.connect() as connection:
            yield connection
    finally:
        engine.dispose()


def differences(settings: Settings, decisions: Decisions) -> Plan:
    """What separates the database from the models."""
    with connected(settings) as connection:
        return plan(connection, SQLModel.metadata, decisions)


def describe(operations: Sequence[ops.MigrateOperation]) -> str:
    """A message for a migration that only adds."""
    tables = [o.table_name for o in operations if isinstance(o, ops.CreateTableOp)]
    columns = [f"{o.table_name} {o.column.name}" for o in operations if isinstance(o, ops.AddColumnOp)]
    return "add " + " and ".join(tables or columns or ["indexes"])


def lacking(settings: Settings, config: Config) -> list[Pending]:
    """The migrations that the database lacks. One at a revision that the code does not know is newer: it lacks none."""
    scripts = ScriptDirectory.from_config(config)
    with connected(settings) as connection:
        try:
            return pending(connection, scripts)
        except RevisionError:
            return []


def check(settings: Settings, config: Config) -> int:
    """Return 1 when the database lacks a migration. When it does not answer, say so: `/ready` tells when it does."""
    try:
        missing = lacking(settings, config)
    except sa.exc.DBAPIError as error:
        print(f"The database does not answer ({type(error.orig).__name__}); /ready says when it does.", file=sys.stderr)
        return 0
    if missing:
        print("The database lacks a migration. Run scripts/migrate first, as the role that owns it.", file=sys.stderr)
    return int(bool(missing))


def words(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/migrate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("message", nargs="?", help="what changed; becomes the name of the file")
    parser.add_argument("--rename", action="append", default=[], metavar="[TABLE.]OLD=NEW", help="keep the values")
    parser.add_argument("--drop", action="append", default=[], metavar="TABLE[.COLUMN]", help="it was not renamed")
    parser.add_argument("--check", action="store_true", help="change nothing")
    parser.add_argument("--start", action="store_true", help="as scripts/run: apply nothing that loses something")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Migrate; 1 when the models have changed in a way that wants a decision."""
    given = words(arguments)
    settings, config = Settings(), Config(ROOT / "alembic.ini", stdout=sys.stderr)
    config.set_main_option("script_location", str(ROOT / "alembic"))
    config.attributes["metadata"] = SQLModel.metadata
    if given.check:
        return check(settings, config)
    if given.start or given.message:
        losing = [one for one in lacking(settings, config) if one.loses]
        if losing:
            print("\n".join(map(_told, losing)))
            return 1
    _upgrade(config, settings)
    if settings.environment is not Environment.DEVELOPMENT:
        return 0
    return _write(config, settings, given)


def _told(one: Pending) -> str:
    losses = "".join(f"\n    {loss}" for loss in one.loses)
    return f"{_shown(one.path)} is not applied, for it loses{losses}\nLook at it, then run scripts/migrate."


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT) if path.is_relative_to(ROOT) else path)


def _upgrade(config: Config, settings: Settings) -> None:
    """Apply what is pending; name the files where that fails."""
    missing = lacking(settings, config)
    try:
        command.upgrade(config, "head")
    except (sa.exc.DBAPIError, UnsafeMigrationError):
        names = ", ".join(_shown(one.path) for one in missing)
        print(f"Nothing was applied of: {names}. Mend the file, or remove it and write it anew.", file=sys.stderr)
        raise


def _write(config: Config, settings: Settings, given: argparse.Namespace) -> int:
    """Write the migration that the models need; apply it where it loses nothing."""
    decisions = parse(given.rename, given.drop)
    try:
        changes = differences(settings, decisions)
    except UndecidedError as undecided:
        if not (given.message and sys.stdin.isatty()):
            raise
        said = ask(undecided.candidates, input)
        decisions = replace(decisions, renames=decisions.renames + said.renames, drops=decisions.drops | said.drops)
        changes = differences(settings, decisions)
    if not changes.operations:
        return 0
    if not given.message and not changes.only_adds:
        losses = "".join(f"\n    {loss.what}" for loss in changes.losses)
        lost = f" That would lose{losses}\n" if losses else " "
        print(f'The models have changed.{lost}Run scripts/migrate "what changed".')
        return 1
    return _apply_new(config, settings, message=given.message or describe(changes.operations), decisions=decisions)


def _apply_new(config: Config, settings: Settings, *, message: str, decisions: Decisions) -> int:
    with connected(settings) as connection:
        written = write(config, connection, SQLModel.metadata, message=message, decisions=decisions)
    if written is None:
        return 0
    path, made = written
    _excuse(path)
    _format(path)
    if made.losses:
        print(f"{path.read_text()}\nWrote {_shown(path)}.")
        losses = "".join(f"\n    {loss.what}" for loss in made.losses)
        print(f"It is not applied, for it loses{losses}\nLook at it, then run scripts/migrate.")
        return 0
    is_applied = False
    try:
        command.upgrade(config, "head")
        is_applied = True
    finally:
        if not is_applied:
            path.unlink()
            print(f"{_shown(path)} could not be applied and was removed; the database is as it was.", file=sys.stderr)
    print(f"Wrote and applied {_shown(path)}; look at it before you commit it.")
    return 0


def _excuse(path: Path) -> None:
    """Where squawk is installed, write into a file what would hold up a busy server, as scripts/check wants it."""
    if Path(sys.executable).with_name("squawk").exists():
        command = [sys.executable, "-m", "scripts.lint_migrations", "--excuse", EXCUSE, path.name]
        # What it cannot read, scripts/check tells.
        subprocess.run(command, check=False, capture_output=True, cwd=ROOT)  # noqa: S603  our own


def _format(path: Path) -> None:
    """Format a file where ruff is installed."""
    if find_spec("ruff"):
        for arguments in (["check", "--fix", "--exit-zero"], ["format"]):
            subprocess.run([sys.executable, "-m", "ruff", *arguments, "--quiet", str(path)], check=True, cwd=ROOT)  # noqa: S603  our own file


def run(arguments: Sequence[str]) -> int:
    """Migrate; 1 and a sentence where a setting does not hold, something is to be decided, or the database refuses."""
    try:
        return main(arguments)
    except UNDECIDED as undecided:
        print(f"Nothing was written.\n{undecided}", file=sys.stderr)
    except CommandError as said:
        print(f"Rowhouse cannot migrate: {said}.", file=sys.stderr)
    except (ValidationError, ValueError, sa.exc.DBAPIError) as error:
        print(f"Rowhouse cannot migrate. {explained(error)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
