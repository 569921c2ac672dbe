"""Measure writes while a migration builds an index on a large table: `python -m perf.index_build --rows 1000000`.

A PostgreSQL with this number of books gets an index by a migration, once CONCURRENTLY in an `autocommit_block()` as in
docs/migrations.md and once plainly, while threads update random books. Before that they write without a migration. It
prints how long the migration took, how many writes ran meanwhile, and how long they took: the longest matters. The exit
status is 1 if an index is not valid.
"""

import argparse
import random
import statistics
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
from alembic.script import ScriptDirectory

from perf.app.compare.targets import ROWHOUSE
from perf.app.datasets.large_books import fill_books
from perf.harness.servers import REPOSITORY, migrate, postgres
from rowhouse import Settings

REVISION, NAME = "measured", "ix_books_measured"
PAUSE_SECONDS = 0.002  # between two writes of a thread, so that the threads do not use the whole machine
WRITE = b"UPDATE books SET updated_at = now(), price = price + 0.01 WHERE id = $1"
MIGRATION = '''"""An index."""

from alembic import op

revision, down_revision, branch_labels, depends_on = "{revision}", "{former}", None, None


def upgrade() -> None:
    """Apply."""
{body}
'''
FORGET = "UPDATE alembic_version SET version_num = %s WHERE version_num = %s"
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass"
PLAIN = f'    op.create_index("{NAME}", "books", ["author", "stock"])'
CONCURRENT = f"""    with op.get_context().autocommit_block():
        op.drop_index("{NAME}", if_exists=True, postgresql_concurrently=True)
        op.create_index("{NAME}", "books", ["author", "stock"], postgresql_concurrently=True)"""


@dataclass
class Writers:
    """Threads that update one book after another, and the duration of each update."""

    url: str
    rows: int
    threads: int
    taken: list[tuple[float, float]] = field(default_factory=list)  # the start and the end of each write
    failures: list[str] = field(default_factory=list)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write until the end of the block."""
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
        generator = random.Random(number)
        try:
            with psycopg.connect(self.url, autocommit=True) as connection, psycopg.RawCursor(connection) as cursor:
                while not ended.wait(PAUSE_SECONDS):
                    begun = time.perf_counter()
                    cursor.execute(WRITE, [generator.randint(1, self.rows)])
                    self.taken.append((begun, time.perf_counter()))
        except psycopg.Error as error:
            self.failures.append(str(error))


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The writes during one operation: its name, how long it took, and the milliseconds of each write."""

    name: str
    seconds: float
    milliseconds: Sequence[float]

    def __str__(self) -> str:
        ordered = sorted(self.milliseconds)
        figures = (statistics.median(ordered), ordered[len(ordered) * 99 // 100], ordered[-1])
        return f"| {self.name} | {self.seconds:.2f} | {len(ordered)} | {' | '.join(f'{one:.1f}' for one in figures)} |"


def measured(writers: Writers, name: str, work: Callable[[], object]) -> Measurement:
    """Run `work` while the threads write, and return the writes that overlapped with it.

    Raises:
        RuntimeError: a write failed.
    """
    with writers.writing():
        time.sleep(0.5)  # until all threads write
        begun = time.perf_counter()
        work()
        ended = time.perf_counter()
    if writers.failures:
        raise RuntimeError(writers.failures[0])
    spent = [(after - before) * 1000 for before, after in writers.taken if after > begun and before < ended]
    writers.taken.clear()
    return Measurement(name=name, seconds=ended - begun, milliseconds=spent)


@contextmanager
def migrations(body: str) -> Iterator[Path]:
    """Yield a copy of this repository's migrations with one more, which has this body."""
    with tempfile.TemporaryDirectory(prefix="perf-index-") as directory:
        folder = copytree(REPOSITORY / "alembic", Path(directory) / "alembic")
        former = head_of(folder)
        migration = MIGRATION.format(revision=REVISION, former=former, body=body)
        (folder / "versions" / f"{REVISION}.py").write_text(migration)
        yield folder


def head_of(folder: Path) -> str:
    """Return the newest revision of the product in a folder of migrations."""
    script = ScriptDirectory.from_config(configuration(folder))
    heads = [script.get_revision(revision) for revision in script.get_heads()]
    (own,) = [head.revision for head in heads if Path(head.path).is_relative_to(folder)]
    return str(own)


def configuration(folder: Path) -> Config:
    """Return the configuration of Alembic for a folder of migrations, otherwise that of this repository."""
    config = Config(REPOSITORY / "alembic.ini")
    config.set_main_option("script_location", str(folder))
    config.set_main_option("version_locations", f"{folder}/versions\nrowhouse.migrations:versions")
    return config


def upgrade(folder: Path, url: str, revision: str) -> None:
    """Migrate a database, as `alembic upgrade` does."""
    config = configuration(folder)
    config.attributes["settings"] = Settings(database_url=url)
    command.upgrade(config, revision)


def _upgrade_in(process: Executor, folder: Path, url: str) -> None:
    """Migrate in another process. In this one, the writing threads would also wait for Python's lock."""
    process.submit(upgrade, folder, url, "heads").result()


def compare(url: str, rows: int, threads: int) -> tuple[list[Measurement], bool]:
    """Measure without a migration, a concurrent index and a plain one. Return whether both indexes were valid, too."""
    conninfo = url.replace("+psycopg", "")
    writers = Writers(conninfo, rows, threads)
    found = [measured(writers, "none", lambda: time.sleep(2))]
    is_valid = True
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        for name, body in (("CONCURRENTLY", CONCURRENT), ("plain", PLAIN)):
            with migrations(body) as folder:
                # Migrates nothing, but imports what the next migration needs.
                other.submit(upgrade, REPOSITORY / "alembic", url, "heads").result()
                found.append(measured(writers, name, partial(_upgrade_in, other, folder, url)))
            with psycopg.connect(conninfo, autocommit=True) as connection:
                is_valid = is_valid and connection.execute(IS_VALID, [NAME]).fetchone() == (True,)
                connection.execute(f"DROP INDEX {NAME}".encode())
                connection.execute(FORGET, [head_of(REPOSITORY / "alembic"), REVISION])
    return found, is_valid


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
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
    print("| index | the migration, s | writes meanwhile | median, ms | p99, ms | longest, ms |")
    print("|---|---:|---:|---:|---:|---:|")
    print("\n".join(map(str, found)))
    return int(not is_valid)
