"""Runs `alembic upgrade heads` several times at once, each in a process of its own that `tests.fork_server` forks."""

import os
from pathlib import Path

from alembic.config import main

from tests.concurrency.process import do_not_measure, write_to
from tests.conftest import ROOT
from tests.fork_server import forks

WITHIN = 60  # seconds


def run(ini: str, url: str, log: str) -> None:
    """Upgrade the database at the URL. The output goes to a file."""
    write_to(log)
    do_not_measure()
    os.environ["DATABASE_URL"] = url
    main(["--config", ini, "upgrade", "heads"])


def upgrade_at_once(url: str, logs: Path, *, count: int, ini: Path = ROOT / "alembic.ini") -> None:
    """Upgrade one database from several processes. Raise AssertionError with their output if one fails."""
    files = [logs / f"migrator-{number}" for number in range(count)]
    for file in files:
        file.touch()
    started = [forks.Process(target=run, args=(str(ini), url, str(file)), daemon=True) for file in files]
    for process in started:
        process.start()
    for process in started:
        process.join(WITHIN)
    codes = [process.exitcode for process in started]
    for process in started:
        process.kill()
    assert codes == [0] * count, "\n".join(file.read_text() for file in files)
