"""Checks migrations with squawk: reads each as SQL for PostgreSQL and reports what would block a busy server.

A statement that must stay is excused in the migration, with a reason:

    # squawk-ignore require-concurrent-index-creation: the table is new here

Rules for all migrations are in `.squawk.toml`. An excuse without a match is an error, too. `--excuse` writes the
missing excuses, all with one reason. The migrations of the engine are left out unless `--engine` is given.
"""

import argparse
import io
import json
import re
import subprocess  # nosec B404  starts squawk
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep
from alembic.script import Script, ScriptDirectory
from alembic.util import CommandError as AlembicError

from rowhouse.cli.errors import CommandError
from rowhouse.core.settings import Settings
from rowhouse.migrations.engine_tables import is_of_engine

EXCUSE = re.compile(r"^\s*# squawk-ignore ([\w-]+): \S", re.MULTILINE)
UNREADABLE = "reads-the-database"  # a rule of our own
Complaint = dict[str, Any]
NOWHERE = "postgresql://nobody@localhost/none"  # nothing connects; it selects PostgreSQL's SQL
BELOW = re.compile(r"^depends_on = .*\n", re.MULTILINE)
ADVICE = "Correct these, or excuse them in the migration with a reason: docs/migrations.md says how."
LIKE_AN_EXCUSE = re.compile(r"squawk-ignore")


@dataclass(frozen=True)
class Finding:
    """One migration, its SQL, and what squawk reports."""

    script: Script
    sql: str
    complaints: list[Complaint]

    def faults(self) -> Iterator[str]:
        """Yield each complaint that is not excused, and each excuse that is wrong."""
        path = Path(self.script.path)
        text = path.read_text()
        excused = set(EXCUSE.findall(text))
        if len(LIKE_AN_EXCUSE.findall(text)) > len(EXCUSE.findall(text)):
            yield f"{path.name}: write an excuse as `# squawk-ignore RULE: the reason`"
        for rule in sorted(excused - {one["rule_name"] for one in self.complaints}):
            yield f"{path.name}: the excuse for {rule} has no match; remove it"
        lines = self.sql.splitlines()
        for one in self.complaints:
            if one["rule_name"] not in excused:
                advice = one["help"] or ""
                yield f"{path.name}: {one['rule_name']}: {one['message']} {advice}\n    {lines[one['line']].strip()}"

    def excuse(self, reason: str) -> None:
        """Write an excuse for each rule that is broken and not excused."""
        path = Path(self.script.path)
        text = path.read_text()
        rules = sorted({one["rule_name"] for one in self.complaints} - set(EXCUSE.findall(text)))
        lines = "".join(f"# squawk-ignore {rule}: {reason}\n" for rule in rules)
        if lines:
            path.write_text(BELOW.sub(lambda found: f"{found[0]}\n{lines}", text, count=1))


def squawk() -> Path | None:
    """Return the path of squawk, or None where it is not installed."""
    program = Path(sys.executable).with_name("squawk")
    return program if program.exists() else None


def excuse_missing(directory: Path, path: Path, reason: str, *, metadata: sa.MetaData | None = None) -> None:
    """Write the excuses that one migration lacks, if squawk is installed."""
    if squawk() is None:
        return
    for finding in read(directory, [path.name], metadata=metadata):
        finding.excuse(reason)


def sql_of(config: Config, scripts: ScriptDirectory, script: Script) -> tuple[str, list[Complaint]]:
    """Return one migration as SQL for PostgreSQL, and a complaint if it cannot be written out."""
    step: Any = MigrationStep.upgrade_from_script(scripts.revision_map, script)
    config.output_buffer = written = io.StringIO()
    context = EnvironmentContext(
        config,
        scripts,
        fn=lambda _heads, _context: [step],
        as_sql=True,
        starting_rev=script.down_revision,
        destination_rev=script.revision,
    )
    said: list[Complaint] = []
    try:
        with context:
            scripts.run_env()
    except AlembicError as error:  # `UnreadableError`, or that of an operation that needs the database
        written.write("\nCOMMIT;\n")
        said.append({"rule_name": UNREADABLE, "message": f"{error}.", "help": None, "line": 0})
    return written.getvalue(), said


def _complaints(files: Sequence[Path], directory: Path) -> list[Complaint]:
    """Return what squawk reports of files of SQL.

    Raises:
        CommandError: squawk is not installed.
        RuntimeError: it fails.
    """
    program = squawk()
    if program is None:
        raise CommandError("squawk is not installed: pip install squawk-cli")
    rules = directory / ".squawk.toml"
    configured = ["--config", str(rules)] if rules.exists() else []
    words = [str(program), *configured, "--reporter", "json", *map(str, files)]
    done = subprocess.run(  # noqa: S603  # nosec B603  no word is a client's
        words, cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode not in (0, 1):
        raise RuntimeError(f"squawk exited with {done.returncode}: {done.stderr}")
    found: list[Complaint] = json.loads(done.stdout)
    return found


def read(
    directory: Path,
    revisions: Sequence[str] = (),
    *,
    metadata: sa.MetaData | None = None,
    engine: bool = False,
) -> list[Finding]:
    """Check the named migrations of a project, or all of them, the oldest first. With `engine`, the engine's too."""
    config = Config(directory / "alembic.ini")
    config.attributes["settings"] = Settings(database_url=NOWHERE)
    if metadata is not None:
        config.attributes["metadata"] = metadata
    scripts = ScriptDirectory.from_config(config)
    wanted = [
        one
        for one in reversed(list(scripts.walk_revisions()))
        if (engine or not is_of_engine(one)) and (not revisions or {one.revision, Path(one.path).name} & {*revisions})
    ]
    written = {one.revision: sql_of(config, scripts, one) for one in wanted}
    with tempfile.TemporaryDirectory() as folder:
        files = {revision: Path(folder) / f"{revision}.sql" for revision in written}
        for revision, (text, _said) in written.items():
            files[revision].write_text(text)
        said = _complaints(list(files.values()), directory) if files else []
    return [
        Finding(
            one,
            written[one.revision][0],
            written[one.revision][1] + [line for line in said if Path(line["file"]) == files[one.revision]],
        )
        for one in wanted
    ]


def main(arguments: Sequence[str]) -> int:
    """Check the migrations of the working directory. Return the exit status.

    Raises:
        CommandError: this is no folder of a project, or squawk is not installed.
    """
    parser = argparse.ArgumentParser(prog="rowhouse lint-migrations", description=__doc__)
    parser.add_argument("revisions", nargs="*", metavar="REVISION or FILE")
    parser.add_argument("--excuse", metavar="REASON", help="write the missing excuses into the migrations")
    parser.add_argument("--engine", action="store_true", help="check the engine's own migrations too")
    given = parser.parse_args(arguments)
    if not Path("alembic.ini").is_file():
        raise CommandError("There is no alembic.ini here; run this in the folder of a project.")
    findings = read(Path.cwd(), given.revisions, engine=given.engine)
    if not findings:
        print("There is no such migration.", file=sys.stderr)
        return 1
    if given.excuse:
        for finding in findings:
            finding.excuse(given.excuse)
    found = [fault for finding in findings for fault in finding.faults()]
    print("\n".join([*found, ADVICE]) if found else f"{len(findings)} migrations")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
