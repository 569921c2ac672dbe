"""Writes the code of table classes from what a database has. Reads no database and no file."""

import ast
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from rowhouse.cli.adopt.names import class_name, is_reserved, many, member_name
from rowhouse.cli.adopt.stored import Columns, Reference, StoredColumn, StoredTable
from rowhouse.cli.adopt.types import TypeCode, UntakenError, code_of, repr_of
from rowhouse.cli.scaffold.source import MAX_LINE, call
from rowhouse.entities.model import singular_snake, with_article

# What `sa.text` takes for a parameter, and what it does not.
PARAMETER, ESCAPED = re.compile(r"(?<![:\w\\]):(?=\w)"), r"\\:"
ONDELETE = {"CASCADE", "SET NULL", "RESTRICT"}
# The imports of the names that the classes may use.
IMPORTS = {
    "Adopted": ("rowhouse", "Adopted"),
    "Any": ("typing", "Any"),
    "Decimal": ("decimal", "Decimal"),
    "Field": ("sqlmodel", "Field"),
    "Optional": ("typing", "Optional"),
    "Relationship": ("sqlmodel", "Relationship"),
    "UUID": ("uuid", "UUID"),
    "postgresql": ("sqlalchemy.dialects", "postgresql"),
    "sqlite": ("sqlalchemy.dialects", "sqlite"),
}
ALIASES = {"dt": "datetime", "sa": "sqlalchemy"}


@dataclass
class Adoption:
    """A table with the names of its class and members, and what was left out of it."""

    table: StoredTable
    name: str
    members: dict[str, str] = field(default_factory=dict)
    types: dict[str, TypeCode] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    relationships: list[str] = field(default_factory=list)

    @property
    def why_read_only(self) -> str | None:
        """Why nothing can be written to the table, or None."""
        if self.table.write_fault is not None:
            return f"SQLite cannot write to it: {self.table.write_fault}"
        is_needed = any(column.is_required for column in self.table.columns if column.name in self.left_out)
        return "a column that every row needs was left out" if is_needed else None

    @property
    def references(self) -> list[Reference]:
        """The foreign keys whose columns were taken."""
        return [one for one in self.table.references if not set(one.columns) - self.members.keys()]

    @property
    def snake(self) -> str:
        """The name of one row: `order_detail`."""
        return singular_snake(self.name)


def adopt_tables(
    tables: Collection[StoredTable], dialect: str, *, taken: Collection[str], refused: Mapping[str, str]
) -> list[Adoption]:
    """Return the tables with the names of their classes and members, and what cannot be taken of each.

    `taken` are names of classes that exist. `refused` has reasons by `table.column`.
    """
    names = {*taken}
    found = []
    for table in tables:
        adoption = Adoption(table, class_name(table.name, names))
        names.add(adoption.name)
        members: set[str] = set()
        for column in table.columns:
            try:
                kind = code_of(column.kind, dialect)
            except UntakenError as error:
                adoption.left_out[column.name] = str(error)
                continue
            if reason := refused.get(f"{table.full_name}.{column.name}"):
                adoption.left_out[column.name] = reason
                continue
            name = member_name(column.name, members)
            members.add(name)
            adoption.members[column.name], adoption.types[column.name] = name, kind
        found.append(adoption)
    return found


def class_code(adoption: Adoption, tables: Collection[str]) -> str:
    """Return the code of one class. `tables` are the full names of the tables that foreign keys may name."""
    table = adoption.table
    lines = [
        _docstring(adoption),
        f"\n    __tablename__ = {repr_of(table.name)}\n",
        *_arguments(adoption, tables),
        "\n",
    ]
    lines += [_field(adoption, column, tables) for column in table.columns if column.name in adoption.members]
    if adoption.relationships:
        lines += ["\n", *adoption.relationships]
    return f"class {adoption.name}(Adopted, table=True):\n{''.join(lines)}"


def imports_of(codes: Collection[str]) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return the imports that classes need: `from` a module a name, and modules by their aliases."""
    nodes = [node for code in codes for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)]
    used = {node.id for node in nodes}
    return [IMPORTS[name] for name in sorted(used & IMPORTS.keys())], {
        alias: module for alias, module in ALIASES.items() if alias in used
    }


def relate(adoptions: Collection[Adoption], unrelated: Collection[str] = ()) -> None:
    """Add `Relationship`s in both directions where the names are clear, but not to or from `unrelated` tables."""
    adoptions = [one for one in adoptions if one.table.full_name not in unrelated]
    by_table = {(one.table.schema, one.table.name): one for one in adoptions}
    for one in adoptions:
        for reference in one.references:
            target = by_table.get((reference.schema, reference.table))
            if target is not None and len(reference.columns) == 1 and not _is_link(one, by_table):
                _relate(one, reference, target)
    for one in adoptions:
        if _is_link(one, by_table):
            _link(one, *(by_table[reference.schema, reference.table] for reference in one.references))


def is_link(adoption: Adoption, adoptions: Collection[Adoption]) -> bool:
    """Return whether the rows of a table only connect those of two others."""
    return _is_link(adoption, {(one.table.schema, one.table.name): one for one in adoptions})


def _is_link(adoption: Adoption, by_table: Mapping[tuple[str | None, str], Adoption]) -> bool:
    table, found = adoption.table, adoption.references
    columns = [column for one in found for column in one.columns]
    targets = [by_table.get((one.schema, one.table)) for one in found]
    return (
        len(columns) == len(targets) == len({id(one) for one in targets}) == 2  # noqa: PLR2004  a link has two ends
        and None not in targets
        and set(columns) == set(table.key) == {column.name for column in table.columns}
        and all(one.remote == target.table.key for one, target in zip(found, targets, strict=True) if target)
    )


def _docstring(adoption: Adoption) -> str:
    words = with_article(adoption.snake.replace("_", " "))
    said = (adoption.table.comment or words).split("\n")[0].replace("\\", "").replace('"', "'").strip().rstrip(".")
    return f'    """{said[:1].upper()}{said[1 : MAX_LINE - 20]}."""\n'


def _arguments(adoption: Adoption, tables: Collection[str]) -> Iterator[str]:
    """Yield `__table_args__`: constraints with names of the database, and the schema."""
    parts = [
        _constraint(one) for one in adoption.references if _is_taken(one, tables) and not _is_of_field(adoption, one)
    ]
    for name, columns in adoption.table.uniques:
        if _are_taken(adoption, columns) and not _is_unique_field(adoption, name, columns):
            named = [f"name={repr_of(name)}"] if name else []
            parts.append(f"sa.UniqueConstraint({', '.join([*map(repr_of, columns), *named])})")
    for name, columns in adoption.table.unique_indexes:
        if _are_taken(adoption, columns):
            parts.append(f"sa.Index({', '.join(map(repr_of, (name, *columns)))}, unique=True)")
    if adoption.table.schema is not None:
        parts.append(f'{{"schema": {repr_of(adoption.table.schema)}}}')
    if parts:
        line = f"    __table_args__ = ({', '.join(parts)}{',' if len(parts) == 1 else ''})\n"
        yield (
            line
            if len(line) <= MAX_LINE + 1
            else "".join(["    __table_args__ = (\n", *(_broken(part) for part in parts), "    )\n"])
        )


def _broken(part: str) -> str:
    """Return one element of `__table_args__`, broken where ruff breaks it."""
    line = f"        {part},\n"
    if len(line) <= MAX_LINE + 1:
        return line
    before, _, arguments = part.removesuffix(")").partition("(")
    return f"{call(before, _split(arguments), indent=8).rstrip()},\n"


def _split(arguments: str) -> list[str]:
    """Return the arguments of a call as they are written."""
    parsed = ast.parse(f"f({arguments})", mode="eval").body
    if not isinstance(parsed, ast.Call):
        raise TypeError(arguments)
    text = f"f({arguments})"
    return [str(ast.get_source_segment(text, one)) for one in (*parsed.args, *parsed.keywords)]


def _constraint(reference: Reference) -> str:
    schema = f"{reference.schema}." if reference.schema else ""
    columns = ", ".join(map(repr_of, reference.columns))
    remote = ", ".join(repr_of(f"{schema}{reference.table}.{name}") for name in reference.remote)
    name = f", name={repr_of(reference.name)}" if reference.name else ""
    deletes = f", ondelete={repr_of(reference.ondelete)}" if reference.ondelete in ONDELETE else ""
    defers = f", deferrable=True, initially={repr_of(reference.initially)}" if reference.initially else ""
    return f"sa.ForeignKeyConstraint([{columns}], [{remote}]{name}{deletes}{defers})"


def _is_taken(reference: Reference, tables: Collection[str]) -> bool:
    """Return whether the table that is referred to has a class, with these columns."""
    return f"{reference.schema}.{reference.table}" in tables if reference.schema else reference.table in tables


def _are_taken(adoption: Adoption, columns: Columns) -> bool:
    return not set(columns) - adoption.members.keys()


def _is_of_field(adoption: Adoption, reference: Reference) -> bool:
    """Return whether `Field(foreign_key=...)` says the same: one column, and no name or the conventional one."""
    if len(reference.columns) != 1 or reference.initially:
        return False
    return reference.name in (None, f"fk_{adoption.table.name}_{reference.columns[0]}_{reference.table}")


def _is_unique_field(adoption: Adoption, name: str | None, columns: Columns) -> bool:
    """Return whether `Field(unique=True)` says the same."""
    return len(columns) == 1 and name in (None, f"uq_{adoption.table.name}_{columns[0]}")


def _field(adoption: Adoption, column: StoredColumn, tables: Collection[str]) -> str:
    """Return the line of one member."""
    kind, table = adoption.types[column.name], adoption.table
    is_key = column.name in table.key
    is_nullable = column.nullable and not is_key  # a key of SQLite may be, as the database says it
    is_filled = column.is_filled and not _is_chosen(table, column)
    may_be_absent = is_nullable or is_filled or (is_key and table.makes_key)
    arguments = ["default=None"] if may_be_absent else []
    arguments += ["primary_key=True"] if is_key else []
    if may_be_absent and not is_nullable and not is_key:
        arguments.append("nullable=False")
    elif kind.annotation == "Any" and not is_key:
        arguments.append(f"nullable={is_nullable}")
    arguments += kind.arguments
    arguments += _reference_arguments(adoption, column, tables)
    if column.name in table.indexed:
        arguments.append("index=True")
    if any(_is_unique_field(adoption, name, of) and of == (column.name,) for name, of in table.uniques):
        arguments.append("unique=True")
    arguments += _column_arguments(adoption, column, is_counted=is_key and table.makes_key)
    annotation = f"{kind.annotation} | None" if may_be_absent and kind.annotation != "Any" else kind.annotation
    line = f"{adoption.members[column.name]}: {annotation}"
    if arguments in ([], ["default=None"]):
        return f"    {line}{' = None' if arguments else ''}\n"
    return call(f"{line} = Field", arguments, indent=4)


def _reference_arguments(adoption: Adoption, column: StoredColumn, tables: Collection[str]) -> Iterator[str]:
    for one in adoption.references:
        if one.columns == (column.name,) and _is_taken(one, tables) and _is_of_field(adoption, one):
            schema = f"{one.schema}." if one.schema else ""
            yield f"foreign_key={repr_of(f'{schema}{one.table}.{one.remote[0]}')}"
            if one.ondelete in ONDELETE:
                yield f"ondelete={repr_of(one.ondelete)}"
            return


def _column_arguments(adoption: Adoption, column: StoredColumn, *, is_counted: bool) -> Iterator[str]:
    """Yield what only SQLAlchemy's column says: another name, a default of the database, a computed value."""
    if column.computed is not None:
        yield f"sa_column_args=[sa.Computed({repr_of(column.computed)})]"
    elif column.identity is not None and not is_counted:
        yield f"sa_column_args=[sa.Identity(always={column.identity == 'always'})]"
    given = []
    if adoption.members[column.name] != column.name:
        given.append(f'"name": {repr_of(column.name)}')
    if column.default is not None and not (is_counted and _counts(column)) and not _is_chosen(adoption.table, column):
        given.append(f'"server_default": {_default(column.default)}')
    if given:
        yield f"sa_column_kwargs={{{', '.join(given)}}}"


def _is_chosen(table: StoredTable, column: StoredColumn) -> bool:
    """Return whether clients choose a part of a key that has a default: other values would be out of their reach."""
    return column.name in table.key and len(table.key) > 1 and column.default is not None and not _counts(column)


def _counts(column: StoredColumn) -> bool:
    return column.default is not None and column.default.startswith("nextval(")


def _default(sql: str) -> str:
    """Return a default: its SQL where that is short and needs nothing else of the database."""
    is_short = len(sql) <= MAX_LINE // 2 and "\n" not in sql and "nextval(" not in sql
    return f"sa.text({repr_of(PARAMETER.sub(ESCAPED, sql))})" if is_short else "sa.FetchedValue()"


def _relate(source: Adoption, reference: Reference, target: Adoption) -> None:
    """Add the `Relationship` of a foreign key to its class, and the one back to the class that it refers to."""
    ((column,), (remote,)) = reference.columns, reference.remote
    alike = [one for one in source.references if (one.schema, one.table) == (reference.schema, reference.table)]
    member, is_alone = source.members[column], len(alike) == 1
    is_one = source.table.is_unique(reference.columns)
    name = _one_name(source, member, target, is_alone=is_alone)
    back = source.snake if is_one else many(source.name)
    back = back if is_alone else f"{back}_by_{name}"
    if remote not in target.members or not _is_free(source, name):
        return
    is_mutual = _is_free(target, back) and not (source is target and name == back)
    arguments = [f"back_populates={repr_of(back)}"] if is_mutual else []
    is_only = is_alone and (source is target or not _refers(target, source))
    options = [] if is_only else [f'"foreign_keys": "{source.name}.{member}"']
    near = [f'"remote_side": "{target.name}.{target.members[remote]}"'] if source is target else []
    stored = next(one for one in source.table.columns if one.name == column)
    kind = f'Optional["{target.name}"]' if stored.nullable else f'"{target.name}"'
    _add(source, name, kind, arguments, [*near, *options])
    if is_mutual:
        many_kind = f'Optional["{source.name}"]' if is_one else f'list["{source.name}"]'
        single = ['"uselist": False'] if is_one else []
        _add(target, back, many_kind, [f"back_populates={repr_of(name)}"], [*options, *single])


def _refers(source: Adoption, target: Adoption) -> bool:
    return any((one.schema, one.table) == (target.table.schema, target.table.name) for one in source.references)


def _one_name(source: Adoption, member: str, target: Adoption, *, is_alone: bool) -> str:
    """Return `customer` for `customer_id`, `shipper` for `ship_via`, `reports_to_employee` for `reports_to`."""
    if member.endswith("_id") and _is_free(source, member.removesuffix("_id")):
        return member.removesuffix("_id")
    if is_alone and source is not target and _is_free(source, target.snake):
        return target.snake
    return f"{member.removesuffix('_id').rstrip('_')}_{target.snake}"


def _link(link: Adoption, one: Adoption, other: Adoption) -> None:
    """Add the many-to-many `Relationship`s of a link."""
    names = many(other.name), many(one.name)
    if not (_is_free(one, names[0]) and _is_free(other, names[1])):
        return
    for near, far, name, back in ((one, other, names[0], names[1]), (other, one, names[1], names[0])):
        arguments = [f"back_populates={repr_of(back)}", f"link_model={link.name}"]
        _add(near, name, f'list["{far.name}"]', arguments, [])


def _is_free(adoption: Adoption, name: str) -> bool:
    written = {line.strip().partition(":")[0] for line in adoption.relationships}
    return name not in written and name not in adoption.members.values() and not is_reserved(name)


def _add(adoption: Adoption, name: str, kind: str, arguments: list[str], options: list[str]) -> None:
    given = [*arguments, f"sa_relationship_kwargs={{{', '.join(options)}}}"] if options else arguments
    adoption.relationships.append(call(f"{name}: {kind} = Relationship", given, indent=4))
