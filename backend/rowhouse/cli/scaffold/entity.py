"""Adds an entity to a project: `rowhouse entity Publisher name:str founded:int?`.

Writes its class, its registration line, its migration and a test. Either all of them are written, or nothing is.
"""

import ast
import builtins
import re
import subprocess  # nosec B404  starts a Python that loads the changed project
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import rowhouse
from rowhouse.cli.errors import ArgumentError, CommandError
from rowhouse.cli.progress import show_progress
from rowhouse.cli.project import Project, find_project
from rowhouse.cli.scaffold.fields import MAX_NAME, Choice, Field, Import, Reference, parse_field
from rowhouse.cli.scaffold.source import add_imports, call, classes
from rowhouse.entities.model import plural, singular_snake
from rowhouse.migrations.engine_tables import ENGINE_TABLES

CLASS_NAME = re.compile(r"[A-Z][A-Za-z0-9]*")
# Names that `models.py` imports, or that Python has itself.
NOT_ENTITIES = {
    *rowhouse.__all__,
    *dir(builtins),
    "Any",
    "BigInteger",
    "Decimal",
    "Field",
    "JSON",
    "SQLModel",
    "StrEnum",
    "UUID",
}
POLICIES = {"anyone": "ANYONE", "signed-in": "SIGNED_IN", "admin": "ADMIN"}
KEYS = {"Entity": "int", "IntegerKey": "int", "BigIntegerKey": "big", "UUIDKey": "UUID"}
READING = 'operations=("list", "get")'
UUID_KEY = "id:uuid"  # not a field: it chooses the bases of the class
STORED_TEST = '''    """A row is created and read again."""
    created = client.post("{path}", json=body_of({name}), headers=admin)
    assert created.status_code == 201, created.json()
    assert client.get(created.headers["location"], headers=admin).json() == created.json()
'''
READ_TEST = '''    """A row is read, and no client writes one."""
    stored = make({name})
    assert client.get(f"{path}/{{stored['id']}}", headers=admin).json() == stored
    assert client.post("{path}", json={{}}, headers=admin).status_code == 405
'''
APPLY = "rowhouse.cli.scaffold.apply"


@dataclass(frozen=True)
class Table:
    """A table class of the project: the name of its table, and the type of its key."""

    name: str
    key: str | None


@dataclass(frozen=True)
class Layout:
    """Where a project keeps its classes, its registration lines and its tests."""

    directory: Path
    package: str
    models: Path
    api: Path
    tests: Path

    @property
    def root(self) -> str:
        """The top-level package, or nothing."""
        return self.package.partition(".")[0]

    @property
    def prefix(self) -> str:
        """The path below which the registry has its entities."""
        found = re.search(r"Registry\(\s*(?:prefix=)?\"([^\"]*)\"", self.api.read_text("utf-8"))
        return found[1] if found else "/api/v1"

    def relative(self, path: Path) -> str:
        """Return a path as it is shown."""
        return path.relative_to(self.directory).as_posix()


def add_entity(
    name: str,
    specifications: Sequence[str],
    *,
    read: str | None,
    write: str | None,
    owner: str | None,
    read_only: bool = False,
) -> list[str]:
    """Write the files of a new entity into the project of the working directory. Return lines about them.

    `read` and `write` are names of `POLICIES`; `owner` is the field with the account that a row belongs to. Without
    `write` accounts that are signed in write, or nobody where clients only read.

    Raises:
        ArgumentError: a name, a type or a default cannot be used.
        CommandError: the project cannot take the entity. Nothing was written.
    """
    _check_class_name(name)
    if read_only and write:
        raise ArgumentError(f"--read-only and --write {write}: no client writes what clients only read; leave one out.")
    fields = _parse([text for text in specifications if text != UUID_KEY])
    layout = find_layout(find_project())
    tables = dict(tables_of(layout))
    _check_new(name, tables)
    entity = _Entity(name, fields, tables, key="UUID" if UUID_KEY in specifications else "int")
    for enum in (choice.enum(name) for choice in entity.choices):
        _check_new(enum, tables)
    if owner is not None:
        owner = entity.owner(owner)
    test = layout.tests / f"test_{singular_snake(name)}.py"
    if test.exists():
        raise CommandError(f"{layout.relative(test)} exists already; rename it.")
    changes = {
        layout.models: _with_class(layout, entity),
        layout.api: _with_line(
            layout, entity, {"read": read, "write": None if read_only else write or "signed-in"}, owner=owner
        ),
        test: entity.test(layout, read_only=read_only),
    }
    existed = [path for path in changes if path.exists()]
    show_progress("Loading the project, and writing and applying the migration")
    with written(changes):
        said = _apply(layout.directory)
    shown = [f"{'Changed' if path in existed else 'Wrote'} {layout.relative(path)}" for path in changes]
    return [*shown, *(line for line in said.splitlines() if line.startswith(("Created", "Wrote")))]


def find_layout(project: Project) -> Layout:
    """Find the files of a project.

    Raises:
        CommandError: it has no `api.py` with a registry beside its application.
    """
    package, _, _module = project.module.rpartition(".")
    folder = project.directory / project.source / package.replace(".", "/")
    api = folder / "api.py"
    prefix = f"{package}." if package else ""
    if not api.is_file() or not re.search(r"^registry\b.*=", api.read_text("utf-8"), re.MULTILINE):
        raise CommandError(
            f"There is no {api.relative_to(project.directory).as_posix()} with `registry = Registry(...)`; "
            "run this in the folder of a project, such as one of `rowhouse new`."
        )
    return Layout(project.directory, prefix, folder / "models.py", api, project.directory / "tests")


def _check_class_name(name: str) -> None:
    if not CLASS_NAME.fullmatch(name) or len(name) > MAX_NAME:
        raise ArgumentError(
            f"{name!r} is not the name of an entity: write a singular in CamelCase, such as 'ChargePoint'."
        )
    if name in NOT_ENTITIES:
        raise ArgumentError(f"{name!r} is a name of Python or of Rowhouse; choose another one.")


def _parse(specifications: Sequence[str]) -> list[Field | Reference | Choice]:
    fields = [parse_field(text) for text in specifications]
    names = [field.name for field in fields]
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(f"{name!r} stands there twice.")
    if not fields:
        raise ArgumentError("Write at least one field, such as name:str.")
    return fields


def tables_of(layout: Layout) -> Iterator[tuple[str, Table]]:
    """Yield every class of the project with its table. A class without a table has the name ""."""
    yield "User", Table("users", "int")
    for path in sorted(layout.api.parent.rglob("*.py")):
        try:
            yield from ((node.name, _table(node)) for node in classes(path.read_text("utf-8")))
        except SyntaxError as error:
            raise CommandError(f"{layout.relative(path)}, line {error.lineno}: {error.msg}.") from error


def _table(node: ast.ClassDef) -> Table:
    if not any(word.arg == "table" for word in node.keywords):
        return Table("", None)
    stated = [
        statement.value.value
        for statement in node.body
        if isinstance(statement, ast.Assign | ast.AnnAssign)
        and "__tablename__" in ast.unparse(statement)
        and isinstance(statement.value, ast.Constant)
    ]
    bases = [ast.unparse(base).rpartition(".")[2] for base in node.bases]
    key = next((KEYS[base] for base in bases if base in KEYS), None)
    return Table(str(stated[0]) if stated else plural(node.name).replace("-", "_"), key)


def _check_new(name: str, tables: Mapping[str, Table]) -> None:
    if name in tables:
        raise CommandError(f"The project has a class {name} already; choose another name.")
    table = plural(name).replace("-", "_")
    others = [other for other, one in tables.items() if one.name == table]
    if others or table in ENGINE_TABLES:
        owner = others[0] if others else "the engine"
        raise CommandError(f"{name} would have the table {table}, which belongs to {owner}; choose another name.")


class _Entity:
    """The code of one entity."""

    def __init__(
        self, name: str, fields: Sequence[Field | Reference | Choice], tables: Mapping[str, Table], *, key: str
    ) -> None:
        self.name = name
        self.bases = ("UUIDKey", "Record") if key == "UUID" else ("Entity",)
        self.words = singular_snake(name).replace("_", " ")
        self.path = plural(name)
        self.fields = fields
        own = Table(self.path.replace("-", "_"), key)
        self._targets = {field.name: self._target(field, {**tables, name: own}) for field in self._references()}

    @property
    def imports(self) -> list[Import]:
        """The imports of the class."""
        found = [("sqlmodel", "Field"), *(("rowhouse", base) for base in self.bases)]
        for field in self.fields:
            if isinstance(field, Field):
                found += field.imports
            elif isinstance(field, Choice):
                found.append(("enum", "StrEnum"))
            else:
                found += {"UUID": [("uuid", "UUID")], "big": [("sqlalchemy", "BigInteger")]}.get(
                    str(self._targets[field.name].key), []
                )
        return found

    @property
    def code(self) -> str:
        """The code of the class."""
        lines = "".join(self._line(field) for field in self.fields)
        bases = ", ".join(self.bases)
        table = f'class {self.name}({bases}, table=True):\n    """{_article(self.words)}."""\n\n{lines}'
        words = _article(self.words).lower()
        return "\n\n".join([*(choice.enum_code(self.name, words) for choice in self.choices), table])

    @property
    def choices(self) -> list[Choice]:
        """The fields with an enum of their own."""
        return [field for field in self.fields if isinstance(field, Choice)]

    def owner(self, name: str) -> str:
        """The column of the owner.

        Raises:
            ArgumentError: the field does not refer to an account.
        """
        for field in self._references():
            if name in (field.name, field.name.removesuffix("_id")) and field.target == "User":
                return field.name
        raise ArgumentError(
            f"--owner {name}: add the field {name.removesuffix('_id')}:User, which refers to the account."
        )

    def test(self, layout: Layout, *, read_only: bool = False) -> str:
        """The code of the test module."""
        fixture, kind = ("make", "Make") if read_only else ("body_of", "BodyOf")
        imports = [
            ("rowhouse.testing", kind),
            ("rowhouse.testing", "Headers"),
            ("starlette.testclient", "TestClient"),
            (f"{layout.package}models", self.name),
        ]
        text = f'"""{self.path.replace("-", " ").capitalize()} over HTTP, on both databases."""\n'
        verb = "read" if read_only else "stored"
        words = ["client: TestClient", "admin: Headers", f"{fixture}: {kind}"]
        line = call(f"def test_{singular_snake(self.name)}_is_{verb}", words, indent=0)
        body = (READ_TEST if read_only else STORED_TEST).format(path=f"{layout.prefix}/{self.path}", name=self.name)
        return f"{add_imports(text, imports, package=layout.root)}\n\n{line.rstrip()} -> None:\n{body}"

    def _line(self, field: Field | Reference | Choice) -> str:
        if isinstance(field, Choice):
            return field.code(self.name)
        return field.code if isinstance(field, Field) else self._reference(field)

    def _references(self) -> list[Reference]:
        return [field for field in self.fields if isinstance(field, Reference)]

    def _target(self, field: Reference, tables: Mapping[str, Table]) -> Table:
        found = tables.get(field.target)
        if found is None or not found.name:
            known = ", ".join(sorted(name for name, table in tables.items() if table.name and name != self.name))
            raise CommandError(f"{field.name}: there is no entity {field.target}; the entities are {known}.")
        if found.key is None:
            raise CommandError(f"{field.name}: the key of {field.target} is not known here; write the column by hand.")
        if field.target == self.name and not field.nullable:
            raise CommandError(f"{field.name}: the first {self.words} could never be stored; write {field.target}?.")
        return found

    def _reference(self, field: Reference) -> str:
        table = self._targets[field.name]
        annotation = "UUID" if table.key == "UUID" else "int"
        words = [f'foreign_key="{table.name}.id"', "unique=True" if field.unique else "index=True"]
        if table.key == "big":
            words.append("sa_type=BigInteger")
        if field.nullable:
            annotation, words = f"{annotation} | None", ["default=None", *words]
        return call(f"{field.name}: {annotation} = Field", words, indent=4)


def _article(words: str) -> str:
    return f"{'An' if words[0] in 'aeiou' else 'A'} {words}"


def _with_class(layout: Layout, entity: _Entity) -> str:
    text = layout.models.read_text("utf-8") if layout.models.exists() else '"""The entities."""\n'
    text = add_imports(text, entity.imports, package=layout.root)
    return f"{text.rstrip()}\n\n\n{entity.code}"


def _with_line(layout: Layout, entity: _Entity, policies: Mapping[str, str | None], *, owner: str | None) -> str:
    """Return api.py with the registration line. Without a word on who writes, clients only read."""
    given = {word: POLICIES[policy] for word, policy in policies.items() if policy is not None}
    imports = [(f"{layout.package}models", entity.name), *(("rowhouse", policy) for policy in given.values())]
    text = add_imports(layout.api.read_text("utf-8"), imports, package=layout.root)
    words = [f"{word}={policy}" for word, policy in given.items()]
    words += [] if "write" in given else [READING]
    stated = ", ".join([f'owner="{owner}"', *words] if owner else words)
    return f"{text.rstrip()}\nregistry.register({entity.name}, {stated})\n"


@contextmanager
def written(changes: Mapping[Path, str]) -> Iterator[None]:
    """Write texts for the duration of a block. If it fails, put back what was there."""
    before = {path: path.read_text("utf-8") if path.exists() else None for path in changes}
    is_done = False
    try:
        for path, text in changes.items():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, "utf-8")
        yield
        is_done = True
    finally:
        for path, former in () if is_done else before.items():
            if former is None:
                path.unlink(missing_ok=True)
            else:
                path.write_text(former, "utf-8")


def _apply(directory: Path) -> str:
    """Load the changed project in a Python of its own, and migrate. Return its output."""
    words = [sys.executable, "-m", APPLY]
    done = subprocess.run(  # noqa: S603  # nosec B603  no word is a client's
        words, cwd=directory, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"Nothing was written. {(done.stdout + done.stderr).strip()}")
    return done.stdout
