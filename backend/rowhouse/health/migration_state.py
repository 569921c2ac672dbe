"""Compares the migrations that the database holds with those that the code needs, of the project and of the engine.

A revision that the code does not know belongs to a newer deploy. So a deploy that migrates first leaves older servers
ready. Alembic is imported where it is needed: by a server only if `migration_files` cannot read the migrations.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from rowhouse.health.migration_files import Migration, Migrations, read_migrations

if TYPE_CHECKING:
    from alembic.config import Config
    from alembic.script import Script

INI = "alembic.ini"
UPGRADE = "run rowhouse migrate, or alembic upgrade heads"
NEVER = (
    f"The database was never migrated: it holds no revision, and the code needs {{}}; {UPGRADE}. "
    "Where its tables were created otherwise, run alembic stamp heads."
)
OLDER = f"The database is older than the code: it holds {{}}, and the code needs {{}}; {UPGRADE}."


def find_config(directory: Path) -> "Config | None":
    """Return the configuration of Alembic in `directory`, or None where it has no migrations."""
    if not (directory / INI).is_file():
        return None
    from alembic.config import Config  # noqa: PLC0415  a server does not need it

    config = Config(directory / INI)
    location = directory / (config.get_main_option("script_location") or "alembic")
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    return config if (location / "env.py").is_file() else None


class Revisions:
    """The migrations of the code. `needed` holds the newest of each branch, as an up-to-date database stores them."""

    def __init__(self, config: "Config") -> None:
        from alembic.script import ScriptDirectory  # noqa: PLC0415  as above

        self._script = ScriptDirectory.from_config(config)
        self.needed: tuple[str, ...] = tuple(sorted(script.revision for script in self._newest()))
        self.known = {revision.revision for revision in self._script.walk_revisions()}

    def _newest(self) -> "tuple[Script, ...]":
        """Return the newest migrations that no other migration follows or depends on."""
        return tuple(filter(None, self._script.get_revisions("heads")))

    @classmethod
    def of_the_code(cls) -> "Revisions | None":
        """Return the migrations that `alembic.ini` of the working directory names; None without any."""
        directory = Path.cwd()
        if (migrations := read_migrations(directory / INI)) is not None:
            return RevisionsOfFiles(migrations)
        config = find_config(directory)
        return None if config is None else cls(config)

    def mismatch(self, stored: Collection[str]) -> str | None:
        """Return why a database with these revisions cannot serve this code, or None if it can."""
        if not self.needed:
            return None
        if not stored:
            return NEVER.format(self._named(self.needed))
        applied = self._below([revision for revision in stored if revision in self.known])
        missing = [head for head in self.needed if head not in applied]
        is_newer = any(revision not in self.known for revision in stored)
        # A newer revision replaces the one that it follows. A known revision that is still stored was not followed.
        behind = [head for head in missing if not is_newer or self._below([head]) & set(stored)]
        return OLDER.format(self._named(stored), self._named(self.needed)) if behind else None

    def _below(self, revisions: Collection[str]) -> set[str]:
        """Return these known revisions, those before them, and those that they depend on."""
        # One by one: Alembic rejects two that overlap, which a database that was stamped by hand may have.
        found = [self._script.iterate_revisions(revision, "base") for revision in revisions]
        return {revision.revision for below in found for revision in below}

    def _named(self, revisions: Collection[str]) -> str:
        """Return the revisions as words, each with the label of its branch where it has one."""
        return " and ".join(f"{revision}{self._label(revision)}" for revision in sorted(revisions))

    def _label(self, revision: str) -> str:
        labels = self._script.get_revision(revision).branch_labels if revision in self.known else ()
        return f" ({', '.join(sorted(labels))})" if labels else ""


class RevisionsOfFiles(Revisions):
    """The migrations of the code, read without Alembic."""

    def __init__(self, migrations: Migrations) -> None:  # Alembic has not read them
        self._migrations = migrations
        named = {name for one in migrations.values() for name in one.follows | one.depends_on}
        self.needed = tuple(sorted(migrations.keys() - named))
        self.known = set(migrations)

    def _below(self, revisions: Collection[str]) -> set[str]:
        return self._reached(revisions, lambda one: one.follows | one.depends_on)

    def _label(self, revision: str) -> str:
        below = self._reached(self.known & {revision}, lambda one: one.follows)
        labels = {label for name in below for label in self._migrations[name].labels}
        return f" ({', '.join(sorted(labels))})" if labels else ""

    def _reached(self, revisions: Collection[str], step: Callable[[Migration], frozenset[str]]) -> set[str]:
        """Return the revisions, and all that the steps from them lead to."""
        found, left = set(revisions), list(revisions)
        while left:
            new = step(self._migrations[left.pop()]) - found
            found |= new
            left += new
        return found
