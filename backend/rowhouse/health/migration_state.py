"""Compares the migration that the database holds with those beside the code.

A revision that the code does not know is a newer one: a deploy that migrates first leaves every older server ready.
"""

from collections.abc import Collection
from configparser import ConfigParser
from pathlib import Path
from typing import Self

from alembic.config import Config
from alembic.script import ScriptDirectory

CODE = Path(__file__).resolve().parents[2]
UPGRADE = "run alembic upgrade head (in development: scripts/migrate)"
NEVER = (
    f"The database was never migrated: it holds no revision, and the code needs {{}}; {UPGRADE}. "
    "Where its tables were made otherwise, run alembic stamp head."
)
OLDER = f"The database is older than the code: it holds {{}}, and the code needs {{}}; {UPGRADE}."


def find_migrations(code: Path, directory: Path) -> Path | None:
    """The folder of migrations beside `code`, or the one that the `alembic.ini` of `directory` names; None without one.

    A folder called alembic is not enough: next to an installed package it is the library.
    """
    candidates = [code / "alembic"]
    configuration = directory / "alembic.ini"
    if configuration.is_file():
        parser = ConfigParser(interpolation=None)
        parser.read(configuration, encoding="utf-8")
        location = parser.get("alembic", "script_location", fallback="alembic").replace("%(here)s", str(directory))
        candidates.append(directory / location)
    return next((path for path in candidates if (path / "env.py").is_file() and (path / "versions").is_dir()), None)


class Revisions:
    """The migrations that the code comes with; `needed` are the newest of each branch."""

    def __init__(self, folder: Path) -> None:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        self._script = ScriptDirectory.from_config(config)
        self.needed: tuple[str, ...] = tuple(sorted(self._script.get_heads()))
        self._known = {revision.revision for revision in self._script.walk_revisions()}

    @classmethod
    def of_the_code(cls) -> Self | None:
        """Those beside the code, or of the working directory; None where there are none."""
        folder = find_migrations(CODE, Path.cwd())
        return None if folder is None else cls(folder)

    def mismatch(self, stored: Collection[str]) -> str | None:
        """Why a database that holds these revisions cannot serve this code; None when it can."""
        if not self.needed:
            return None
        if not stored:
            return NEVER.format(_words(self.needed))
        applied = self._below([revision for revision in stored if revision in self._known])
        missing = [head for head in self.needed if head not in applied]
        is_newer = any(revision not in self._known for revision in stored)
        # A newer revision has taken the place of the one that it follows. What is still there was not followed by anything.
        behind = [head for head in missing if not is_newer or self._below([head]) & set(stored)]
        return OLDER.format(_words(stored), _words(self.needed)) if behind else None

    def _below(self, revisions: Collection[str]) -> set[str]:
        """The known revisions that these include: those before them, and those they depend on."""
        # One by one: of two that overlap, as a database may hold them that was stamped by hand, Alembic makes an error.
        found = [self._script.iterate_revisions(revision, "base") for revision in revisions]
        return {revision.revision for below in found for revision in below}


def _words(revisions: Collection[str]) -> str:
    return " and ".join(sorted(revisions))
