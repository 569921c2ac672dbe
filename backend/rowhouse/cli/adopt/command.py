"""`rowhouse adopt DATABASE_URL`: reads a database, and writes its tables into a project as classes and lines.

Each class is registered in a trial first. What the engine refuses is left out and reported with the engine's message.
All files are written, or none. The database is only read.
"""

import json
import os
import re
import subprocess  # nosec B404  starts a Python that registers the classes
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import ValidationError

from rowhouse.cli.adopt.classes import Adoption, adopt_tables, class_code, imports_of, is_link, relate
from rowhouse.cli.adopt.known import known_tables
from rowhouse.cli.adopt.names import own_path
from rowhouse.cli.adopt.reading import read
from rowhouse.cli.adopt.stored import Read, StoredTable
from rowhouse.cli.errors import CommandError
from rowhouse.cli.progress import show_progress
from rowhouse.cli.project import find_project
from rowhouse.cli.scaffold.entity import APPLY, POLICIES, Layout, find_layout, tables_of, written
from rowhouse.cli.scaffold.source import add_imports, add_module, call
from rowhouse.core.settings import Settings
from rowhouse.db.engine import url_of
from rowhouse.entities.model import plural

TRIAL = "rowhouse.cli.adopt.trial"
LINE = "\n"
READING = 'operations=("list", "get")'
ENV = ".env"


@dataclass
class Plan:
    """The tables to write, and the reasons for what is left out, by the name of the table or of the column."""

    layout: Layout
    url: str
    dialect: str
    policies: Sequence[str]
    writable: bool
    taken: frozenset[str]
    known_tables: frozenset[str]
    left_out: dict[str, str]
    refused: dict[str, str] = field(default_factory=dict)
    # Tables whose Relationships were refused.
    unrelated: set[str] = field(default_factory=set)
    adoptions: list[Adoption] = field(default_factory=list)

    @property
    def tables(self) -> frozenset[str]:
        """The tables that have a class, with this plan."""
        return self.known_tables | {one.table.full_name for one in self.adoptions}

    @property
    def codes(self) -> dict[str, str]:
        """The code of each class by its name, links first because others name them."""
        order = sorted(self.adoptions, key=lambda one: (not is_link(one, self.adoptions), one.table.schema or ""))
        return {one.name: class_code(one, self.tables) for one in order}

    def path(self, adoption: Adoption) -> str:
        """The path of an entity."""
        return own_path(adoption.table.name) or plural(adoption.name)

    def options(self, adoption: Adoption) -> list[str]:
        """The options of a registration line."""
        is_writable = self.writable and adoption.why_read_only is None
        path = self.path(adoption)
        stated = [] if path == plural(adoption.name) else [f'path="{path}"']
        return [*stated, *self.policies, *([] if is_writable else [READING])]


def adopt(database_url: str, *, writable: bool, policies: Mapping[str, str], schemas: Sequence[str] = ()) -> list[str]:
    """Write the tables of a database into the project of the working directory. Return lines about them.

    `policies` are names of `POLICIES` by the options `read` and `write`.

    Raises:
        CommandError: the database cannot be read, or the project cannot take its tables. Nothing was written.
    """
    layout = find_layout(find_project())
    show_progress("Reading the tables")
    found = read(database_url, tuple(schemas))
    plan = Plan(
        layout=layout,
        url=database_url,
        dialect=url_of(Settings(database_url=database_url)).get_backend_name(),
        policies=[f"{word}={POLICIES[policy]}" for word, policy in policies.items()],
        writable=writable,
        taken=frozenset(dict(tables_of(layout))),
        known_tables=known_tables(layout),
        left_out=dict(found.left_out),
    )
    new = [table for table in found.tables if table.full_name not in plan.known_tables]
    show_progress("Trying the classes")
    _try(plan, new)
    if not plan.adoptions:
        raise CommandError("\n".join(["There is no table to adopt; nothing was written.", *_left_out(plan)]))
    changes = {layout.models: _models(plan), layout.api: _api(plan)}
    show_progress("Loading the project")
    with written(changes):
        _load(plan)
    return [*_said(plan, changes), *_hints(found, plan)]


def _try(plan: Plan, tables: Sequence[StoredTable]) -> None:
    """Register the classes in a trial. Repeat without the refused parts until none is refused."""
    remaining = list(tables)
    while True:
        plan.adoptions = adopt_tables(remaining, plan.dialect, taken=plan.taken, refused=plan.refused)
        _leave_out_keyless(plan, remaining)
        relate(plan.adoptions, plan.unrelated)
        refusals = _trial(plan) if plan.adoptions else {}
        if not refusals:
            break
        for name, said in refusals.items():
            _refuse(plan, remaining, name, said)
    for adoption in plan.adoptions:
        plan.left_out |= {f"{adoption.table.full_name}.{name}": why for name, why in adoption.left_out.items()}


def _leave_out_keyless(plan: Plan, remaining: list[StoredTable]) -> None:
    """Leave out the tables whose key has a column that was left out."""
    for adoption in list(plan.adoptions):
        reasons = [f"its key {name}: {why}" for name, why in adoption.left_out.items() if name in adoption.table.key]
        if reasons:
            plan.left_out[adoption.table.full_name] = reasons[0]
            plan.adoptions.remove(adoption)
            remaining.remove(adoption.table)


def _refuse(plan: Plan, remaining: list[StoredTable], name: str, said: str) -> None:
    """Leave out what a refusal names: a column, the `Relationship`s of a table, or the whole table.

    Raises:
        CommandError: the refusal names no class.
    """
    adoption = next((one for one in plan.adoptions if one.name == name), None)
    if adoption is None:
        raise CommandError(f"Nothing was written. {said}")
    member = re.match(rf"{name}\.(\w+)", said)
    columns = [column for column, one in adoption.members.items() if member and one == member[1]]
    if member and not columns and adoption.table.full_name not in plan.unrelated:
        plan.unrelated.add(adoption.table.full_name)
    elif columns and columns[0] not in adoption.table.key:
        plan.refused[f"{adoption.table.full_name}.{columns[0]}"] = said
    else:
        plan.left_out[adoption.table.full_name] = said
        remaining.remove(adoption.table)


def _trial(plan: Plan) -> dict[str, str]:
    """Return the refusals of the engine, by the names of the classes."""
    codes = plan.codes
    with TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        given = {
            "api": f"{plan.layout.package}api",
            "models": f"{plan.layout.package}models",
            "imports": _with_imports("", plan, [*codes.values()]),
            "classes": codes,
            "options": {one.name: ", ".join(plan.options(one)) for one in plan.adoptions},
            "url": plan.url,
            "answer": str(answer),
        }
        done = _python(plan, [TRIAL], json.dumps(given))
        if not answer.is_file():
            raise CommandError(f"Nothing was written. {(done.stderr or done.stdout).strip().rpartition(LINE)[2]}")
        refusals: dict[str, str] = json.loads(answer.read_text("utf-8"))
        return refusals


def _load(plan: Plan) -> None:
    """Load the changed project in a Python of its own.

    Raises:
        CommandError: it cannot be loaded.
    """
    done = _python(plan, [APPLY, "load"])
    if done.returncode:
        raise CommandError(f"Nothing was written. {(done.stderr or done.stdout).strip()}")


def _python(plan: Plan, arguments: Sequence[str], text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a module in a Python of its own, with the database of the plan."""
    environment = {**os.environ, "DATABASE_URL": plan.url}
    return subprocess.run(  # noqa: S603  # nosec B603  no word is a client's
        [sys.executable, "-m", *arguments],
        cwd=plan.layout.directory,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )


def _with_imports(text: str, plan: Plan, codes: Sequence[str]) -> str:
    names, aliases = imports_of(codes)
    for alias, module in aliases.items():
        text = add_module(text, module, alias, package=plan.layout.root)
    return add_imports(text, names, package=plan.layout.root)


def _models(plan: Plan) -> str:
    path, codes = plan.layout.models, [*plan.codes.values()]
    text = path.read_text("utf-8") if path.exists() else '"""The entities."""\n'
    text = _with_imports(text, plan, codes)
    return "\n\n\n".join([text.rstrip(), *(code.rstrip() for code in codes)]) + "\n"


def _api(plan: Plan) -> str:
    text = plan.layout.api.read_text("utf-8")
    imports = [(f"{plan.layout.package}models", one.name) for one in plan.adoptions]
    imports += [("rowhouse", policy.partition("=")[2]) for policy in plan.policies]
    text = add_imports(text, imports, package=plan.layout.root)
    lines = [call("registry.register", [one.name, *plan.options(one)], indent=0) for one in plan.adoptions]
    return f"{text.rstrip()}\n{''.join(lines)}"


def _said(plan: Plan, changes: Mapping[Path, str]) -> list[str]:
    """Return the report: the adopted tables, and what was left out."""
    count = len(plan.adoptions)
    how = "writable" if plan.writable else "read-only"
    where = " and ".join(plan.layout.relative(path) for path in changes)
    width = max(len(one.table.full_name) for one in plan.adoptions)
    lines = [f"Adopted {count} table{'s' if count > 1 else ''}, {how}, into {where}:"]
    for one in plan.adoptions:
        why = one.why_read_only if plan.writable or one.table.write_fault else None
        kept = f" (read-only: {why})" if why else ""
        lines.append(f"    {one.table.full_name:<{width}}  {plan.layout.prefix}/{plan.path(one)}{kept}")
    return [*lines, *_left_out(plan)]


def _left_out(plan: Plan) -> list[str]:
    if not plan.left_out:
        return []
    return ["Left out:", *(f"    {name}: {why}" for name, why in sorted(plan.left_out.items()))]


def _hints(found: Read, plan: Plan) -> list[str]:
    """Return what to do next. Put the URL into `.env` if the project has none."""
    hints = list(found.hints)
    if hints and plan.dialect == "postgresql":
        hints.append(
            "Give Rowhouse's tables a schema of their own: CREATE SCHEMA rowhouse; then use this URL with "
            "options=-csearch_path%3Drowhouse in its query, and adopt again."
        )
    try:
        is_set = Settings().database_url == plan.url
    except ValidationError:
        is_set = False
    file = plan.layout.directory / ENV
    text = file.read_text("utf-8") if file.exists() else ""
    if is_set:
        return hints
    if re.search(r"^DATABASE_URL=.", text, re.MULTILINE):
        return [*hints, "DATABASE_URL in .env names another database; change it to this one."]
    file.write_text(f"{text.rstrip()}\nDATABASE_URL='{plan.url}'\n".lstrip(), "utf-8")
    return [*hints, "Wrote DATABASE_URL into .env."]
