"""What writers feel of a new index on a large table: `python -m perf.index_build --rows 1000000`.

A PostgreSQL with so many books gets an index by a migration, once CONCURRENTLY in an `autocommit_block()` as docs/migrations.md has it and
once plainly, while threads change books at random; before that they write beside nothing. Printed are how long the migration took,
how many writes there were meanwhile, and how long they took: the longest is what matters. The exit status is 1 where an index is not valid.
"""

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from shutil import copytree

import psycopg
from alembic import command
from alembic.config import Config

from perf.apps import ROWHOUSE
from perf.mass import fill_books
from perf.servers import REPOSITORY, migrate, postgres
from rowhouse.core.settings import Settings
from rowhouse.health.migration_state import Revisions

(FORMER,) = Revisions(REPOSITORY / "alembic").needed
NAME = "ix_books_measured"
PAUSE_SECONDS = 0.002  # between two writes of a thread, or the threads would be all that the machine does
WRITE = b"UPDATE books SET updated_at = now(), price = price + 0.01 WHERE id = $1"
MIGRATION = '''"""An index."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "measured", "{former}", None, None


def upgrade() -> None:
    """Apply."""
{body}
'''
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass"
PLAIN = f'    op.create_index("{NAME}", "books", ["author", "stock"])'
CONCURRENT = f"""    with op.get_context().autocommit_block():
        op.drop_index("{NAME}", if_exists=True, postgresql_concurrently=True)
        op.create_index("{NAME}", "books", ["author", "stock"], postgresql_concurrently=True)"""


@dataclass
class Writers:
    """Threads that change one book after another, and how long each change took."""

    url: str
    rows: int
    threads: int
    taken: list[tuple[float, float]] = field(default_factory=list)  # the beginning and the end of each write
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write for the length of the block."""
        ended = threading.Event()
        started = [threading.Thread(target=self._write, args=(ended, number)) for number in range(self.threads)]
        for thread in started:
            thread.start()
        try:
            yield
        finally:
            ended.set()
            for thread in started:
                thread.join()

    def _write(self, ended: threading.Event, number: int) -> None:
        chance = random.Random(number)
        try:
            with psycopg.connect(self.url, autocommit=True) as connection, psycopg.RawCursor(connection) as cursor:
                while not ended.wait(PAUSE_SECONDS):
                    begun = time.perf_counter()
                    cursor.execute(WRITE, [chance.randint(1, self.rows)])
                    self.taken.append((begun, time.perf_counter()))
        except psycopg.Error as error:
            self.failures.append(str(error))


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What was measured while one thing was done."""

    what: str
    seconds: float
    milliseconds: Sequence[float]

    def __str__(self) -> str:
        ordered = sorted(self.milliseconds)
        figures = (statistics.median(ordered), ordered[len(ordered) * 99 // 100], ordered[-1])
        return f"| {self.what} | {self.seconds:.2f} | {len(ordered)} | {' | '.join(f'{one:.1f}' for one in figures)} |"


def measured(writers: Writers, what: str, work: Callable[[], object]) -> Measure:
    """The writes that went on while something was done.

    Raises:
        RuntimeError: a write failed.
    """
    with writers.writing():
        time.sleep(0.5)  # until all are writing
        begun = time.perf_counter()
        work()
        ended = time.perf_counter()
    if writers.failures:
        raise RuntimeError(writers.failures[0])
    spent = [(after - before) * 1000 for before, after in writers.taken if after > begun and before < ended]
    writers.taken.clear()
    return Measure(what=what, seconds=ended - begun, milliseconds=spent)


@contextmanager
def migrations(body: str) -> Iterator[Path]:
    """The migrations of this repository and one more."""
    with tempfile.TemporaryDirectory(prefix="perf-index-") as directory:
        folder = copytree(REPOSITORY / "alembic", Path(directory) / "alembic")
        (folder / "versions/measured.py").write_text(MIGRATION.format(former=FORMER, body=body))
        yield folder


def upgrade(folder: Path, url: str, revision: str) -> None:
    """Migrate a database, as `alembic upgrade` does."""
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("path_separator", "os")
    config.attributes["settings"] = Settings(database_url=url)
    command.upgrade(config, revision)


def _in(process: Executor, folder: Path, url: str, revision: str) -> None:
    """Migrate in another process: threads of this one would wait for Python, and not only for the database."""
    process.submit(upgrade, folder, url, revision).result()


def compare(url: str, rows: int, threads: int) -> tuple[list[Measure], bool]:
    """Nothing, an index made concurrently, and a plain one; and whether both were valid."""
    conninfo = url.replace("+psycopg", "")
    writers = Writers(conninfo, rows, threads)
    found = [measured(writers, "none", lambda: time.sleep(2))]
    is_valid = True
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        for what, body in (("CONCURRENTLY", CONCURRENT), ("plain", PLAIN)):
            with migrations(body) as folder:
                other.submit(
                    upgrade, folder, url, FORMER
                ).result()  # which is there; what Python imports is imported then
                found.append(measured(writers, what, partial(_in, other, folder, url, "head")))
            with psycopg.connect(conninfo, autocommit=True) as connection:
                is_valid = is_valid and connection.execute(IS_VALID, [NAME]).fetchone() == (True,)
                connection.execute(f"DROP INDEX {NAME}".encode())
                connection.execute("UPDATE alembic_version SET version_num = %s", [FORMER])
    return found, is_valid


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; gives the exit status."""
    parser = argparse.ArgumentParser(prog="python -m perf.index_build", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--writers", type=int, default=4, help="threads that write")
    parser.add_argument("--database-url", help="a PostgreSQL to make a database in, instead of one from the wheel")
    options = parser.parse_args(arguments)
    with postgres(options.database_url) as cluster, cluster.database("perf_index") as url:
        migrate(ROWHOUSE, url)
        fill_books(url, options.rows)
        found, is_valid = compare(url, options.rows, options.writers)
    print(f"{options.rows:,} books, {options.writers} writers\n")
    print(
        "| index | the migration, s | writes meanwhile | median, ms | p99, ms | longest, ms |\n|---|---:|---:|---:|---:|---:|"
    )
    print("\n".join(map(str, found)))
    return int(not is_valid)


if __name__ == "__main__":
    sys.exit(main())
