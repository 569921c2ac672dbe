"""Reads the revisions of migration files without Alembic, which would take 8 MB of each server process.

Reads what `rowhouse migrate` and `alembic revision` write: constants, in the folders that `alembic.ini` names. Returns
None for all else, which Alembic then reads. Must not execute a migration.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from configparser import ConfigParser, SectionProxy
from configparser import Error as ConfigError
from graphlib import CycleError, TopologicalSorter
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

# Options that change which files Alembic reads, or in which way.
UNREAD = frozenset({"sourceless", "recursive_version_locations"})
CONSTANT = re.compile(r"^(revision|down_revision|branch_labels|depends_on)\b(?:\s*:[^=\n]*)?\s*=\s*(.+)$", re.MULTILINE)
# Alembic reads neither `__init__.py` nor the lock files of editors.
UNLISTED = (".#", "__init__")
# In a reference to a branch or a position. No revision has them.
ILLEGAL = frozenset("@-+:")


class Migration(NamedTuple):
    """The revisions that a migration follows, those that it depends on, and the labels of its branch."""

    follows: frozenset[str]
    depends_on: frozenset[str]
    labels: frozenset[str]


Migrations = Mapping[str, Migration]


class UnreadableError(Exception):
    """Only Alembic can read this."""


def read_migrations(ini: Path) -> Migrations | None:
    """Return the migrations that Alembic's configuration names, by their revisions; None if only Alembic can."""
    try:
        return _checked(_migration_in(path.read_text("utf-8")) for path in _paths(ini))
    except (
        UnreadableError,
        ConfigError,
        CycleError,
        OSError,
        ValueError,
        SyntaxError,
        ImportError,
        TypeError,
        KeyError,
    ):
        return None


def _paths(ini: Path) -> Iterator[Path]:
    """Yield the file of each migration."""
    parser = ConfigParser({"here": ini.absolute().parent.as_posix()})
    parser.read_string(ini.read_text("utf-8"))
    options = parser["alembic"]
    location = ini.parent / options.get("script_location", "alembic")
    if UNREAD & options.keys() or not (location / "env.py").is_file():
        raise UnreadableError
    for folder in _folders(options, location):
        yield from (path for path in folder.glob("*.py") if not path.name.startswith(UNLISTED))


def _folders(options: SectionProxy, location: Path) -> list[Path]:
    if "version_locations" not in options:
        return [location / "versions"]
    if options.get("path_separator") != "newline":
        raise UnreadableError
    return [_folder(line.strip()) for line in options["version_locations"].split("\n") if line]


def _folder(place: str) -> Path:
    """Return the folder of a path, or of `package:folder`."""
    package, _, inner = place.partition(":")
    folder = files(package) / inner if inner and not Path(place).is_absolute() else Path(place)
    if not isinstance(folder, Path):  # in an archive
        raise UnreadableError
    return folder


def _migration_in(source: str) -> tuple[str, Migration]:
    """Return the revision in the source of a migration, with the rest."""
    found = CONSTANT.findall(source)
    values = {name: _names(ast.literal_eval(text)) for name, text in found}
    if len(values) < len(found):
        raise UnreadableError
    (revision,) = values.pop("revision", ())
    words = ("down_revision", "depends_on", "branch_labels")
    return revision, Migration(*(frozenset(values.get(word, ())) for word in words))


def _names(value: Any) -> tuple[str, ...]:
    """Return the names in a constant: one, several or none."""
    names = () if value is None else (value,) if isinstance(value, str) else tuple(value)
    if any(ILLEGAL & set(name) for name in names):
        raise UnreadableError
    return names


def _checked(found: Iterable[tuple[str, Migration]]) -> Migrations:
    """Return the migrations by revision: none is there twice or missing. Only the first of a branch has a label."""
    pairs = list(found)
    migrations = dict(pairs)
    before = {revision: one.follows | one.depends_on for revision, one in pairs}
    named, labels = frozenset[str]().union(*before.values()), [label for _, one in pairs for label in one.labels]
    is_whole = len(migrations) == len(pairs) and named <= migrations.keys()
    if not is_whole or len({*labels}) < len(labels) or any(one.labels and one.follows for _, one in pairs):
        raise UnreadableError
    TopologicalSorter(before).prepare()
    return migrations
