"""Has squawk read every migration as SQL for PostgreSQL: `python -m scripts.lint_migrations [--excuse REASON] [REVISION or FILE ...]`.

Ends with 1 where one would hold up a busy server. What is meant to stand is excused in the migration, with its reason:

    # squawk-ignore require-concurrent-index-creation: the table is new here

and what holds for all of them in `.squawk.toml`. An excuse that excuses nothing is a fault, too. `--excuse` writes the excuses that
are missing, all with one reason: for tables that nobody writes to yet, say.
"""

import argparse
import io
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep
from alembic.script import Script, ScriptDirectory

from rowhouse.core.settings import Settings
from rowhouse.migrations.running import UnreadableError

ROOT = Path(__file__).resolve().parents[1]
EXCUSE = re.compile(r"^\s*# squawk-ignore ([\w-]+): \S", re.MULTILINE)
UNREADABLE = "reads-the-database"  # a rule of our own
Complaint = dict[str, Any]
NOWHERE = "postgresql://nobody@localhost/none"  # nobody connects: it says which SQL is written
BELOW = re.compile(r"^depends_on = .*\n", re.MULTILINE)
MEND = "Mend these, or excuse them in the migration with a reason: docs/migrations.md says how."
LIKE_AN_EXCUSE = re.compile(r"squawk-ignore")


def sql_of(config: Config, scripts: ScriptDirectory, script: Script) -> tuple[str, list[Complaint]]:
    """What one migration does to a PostgreSQL, as `alembic upgrade --sql` writes it; and a complaint where that cannot be written."""
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
    except UnreadableError as error:
        written.write("\nCOMMIT;\n")
        said.append({"rule_name": UNREADABLE, "message": f"{error}.", "help": None, "line": 0})
    return written.getvalue(), said


def complaints(files: Sequence[Path]) -> list[Complaint]:
    """What squawk has to say of files of SQL."""
    program = Path(sys.executable).with_name("squawk")
    command = [str(program), "--config", str(ROOT / ".squawk.toml"), "--reporter", "json", *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603  of our own environment
    if done.returncode not in (0, 1):
        raise RuntimeError(f"squawk ended with {done.returncode}: {done.stderr}")
    found: list[Complaint] = json.loads(done.stdout)
    return found


def faults(script: Script, sql: str, said: Sequence[Complaint]) -> Iterator[str]:
    """What is to be mended in one migration."""
    path = Path(script.path)
    text = path.read_text()
    excused = set(EXCUSE.findall(text))
    if len(LIKE_AN_EXCUSE.findall(text)) > len(EXCUSE.findall(text)):
        yield f"{path.name}: write an excuse as `# squawk-ignore RULE: the reason`"
    for rule in sorted(excused - {one["rule_name"] for one in said}):
        yield f"{path.name}: there is nothing of {rule} to excuse"
    lines = sql.splitlines()
    for one in said:
        if one["rule_name"] not in excused:
            advice = one["help"] or ""
            yield f"{path.name}: {one['rule_name']}: {one['message']} {advice}\n    {lines[one['line']].strip()}"


def excuse(script: Script, said: Sequence[Complaint], reason: str) -> None:
    """Write an excuse for each rule that is broken and not excused, below what names the revision."""
    path = Path(script.path)
    text = path.read_text()
    rules = sorted({one["rule_name"] for one in said} - set(EXCUSE.findall(text)))
    lines = "".join(f"# squawk-ignore {rule}: {reason}\n" for rule in rules)
    if lines:
        path.write_text(BELOW.sub(lambda found: f"{found[0]}\n{lines}", text, count=1))


def read(directory: Path, revisions: Sequence[str]) -> Iterator[tuple[Script, str, list[Complaint]]]:
    """Of each migration named, or of all: what it is, its SQL, and what squawk has to say of it."""
    config = Config()
    config.set_main_option("script_location", str(directory))
    config.set_main_option("path_separator", "os")
    config.attributes["settings"] = Settings(database_url=NOWHERE)
    scripts = ScriptDirectory.from_config(config)
    listed = list(scripts.walk_revisions())[::-1]
    wanted = [one for one in listed if not revisions or {one.revision, Path(one.path).name} & set(revisions)]
    texts, unread = {}, {}
    for one in wanted:
        texts[one.revision], unread[one.revision] = sql_of(config, scripts, one)
    with tempfile.TemporaryDirectory() as folder:
        files = {revision: Path(folder) / f"{revision}.sql" for revision in texts}
        for revision, text in texts.items():
            files[revision].write_text(text)
        said = complaints(list(files.values())) if files else []
    for one in wanted:
        of_it = [line for line in said if Path(line["file"]) == files[one.revision]]
        yield one, texts[one.revision], unread[one.revision] + of_it


def main(arguments: Sequence[str], directory: Path = ROOT / "alembic") -> int:
    """The command line; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m scripts.lint_migrations", description=__doc__)
    parser.add_argument("revisions", nargs="*", metavar="REVISION or FILE")
    parser.add_argument("--excuse", metavar="REASON", help="write what is missing into the migrations")
    given = parser.parse_args(arguments)
    found: list[str] = []
    number = 0
    for script, sql, said in read(directory, given.revisions):
        number += 1
        if given.excuse:
            excuse(script, said, given.excuse)
        found += faults(script, sql, said)
    if not number:
        print("There is no such migration.", file=sys.stderr)
        return 1
    print("\n".join([*found, MEND]) if found else f"{number} migrations")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
