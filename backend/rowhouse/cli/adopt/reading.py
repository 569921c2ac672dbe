"""Reads the tables of a database for `rowhouse adopt`. Must not change the database.

Views, partitions, parents of PostgreSQL's inheritance and tables without a key are left out, with the reason.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.dialects import postgresql
from sqlmodel import SQLModel

from rowhouse.cli.adopt.sqlite_tables import has_null, write_fault
from rowhouse.cli.adopt.sqlite_values import fitting
from rowhouse.cli.adopt.stored import Columns, Read, Reference, StoredColumn, StoredTable
from rowhouse.cli.errors import CommandError
from rowhouse.cli.serve import explained
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine, disposing, url_of
from rowhouse.migrations.engine_tables import ENGINE_TABLES

ALEMBIC = "alembic_version"
OF_POSTGRESQL = ("information_schema", "pg_")
# Relations of PostgreSQL that are no table of their own, or that this role may not read.
UNFIT = sa.text("""
    SELECT n.nspname, c.relname, CASE
        WHEN e.extname IS NOT NULL THEN 'it belongs to the extension ' || e.extname
        WHEN c.relispartition THEN 'it is a partition of ' || p.relname || ', which has its rows'
        WHEN c.relkind = 'f' THEN 'it is a foreign table, which has no key'
        WHEN NOT pg_catalog.has_table_privilege(c.oid, 'SELECT') THEN 'this role may not read it'
        ELSE 'it has the rows of ' || h.children || ' too, which inherit from it' END
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid LEFT JOIN pg_catalog.pg_class p ON p.oid = i.inhparent
    LEFT JOIN pg_catalog.pg_depend d ON d.objid = c.oid AND d.classid = 'pg_catalog.pg_class'::regclass
        AND d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.deptype = 'e'
    LEFT JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
    LEFT JOIN (SELECT inhparent, string_agg(inhrelid::regclass::text, ', ' ORDER BY inhrelid::regclass::text) children
        FROM pg_catalog.pg_inherits GROUP BY inhparent) h ON h.inhparent = c.oid AND c.relkind = 'r'
    WHERE c.relkind IN ('r', 'p', 'f') AND (e.oid IS NOT NULL OR c.relispartition OR c.relkind = 'f'
        OR h.children IS NOT NULL OR NOT pg_catalog.has_table_privilege(c.oid, 'SELECT'))
""")
TYPE_NAMES = sa.text("""
    SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod)
    FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = :schema AND c.relname = :table AND a.attnum > 0
""")
VIRTUAL = sa.text("SELECT name FROM pragma_table_list WHERE type IN ('virtual', 'shadow')")
ROWID = sa.text("""
    SELECT upper(p.type) = 'INTEGER' AND l.wr = 0 AND NOT EXISTS (
        SELECT 1 FROM pragma_index_list(:table) i WHERE i.origin = 'pk'
    ) FROM pragma_table_info(:table) p JOIN pragma_table_list l ON l.name = :table AND l.schema = 'main' WHERE p.pk = 1
""")
# SQLAlchemy reads these words after FOREIGN KEY, not after a column. A table's keys are mostly of one kind.
DEFERS = sa.text(
    "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = :table AND sql LIKE '%INITIALLY%DEFERRED%'"
)
UNIQUES = sa.text("""
    SELECT l.name, i.name FROM pragma_index_list(:table) l JOIN pragma_index_info(l.name) i WHERE l.origin = 'u'
    ORDER BY l.seq DESC, i.seqno
""")
SAMPLE = 10_000  # rows that are looked at where the type does not say the decimals or the dimensions
LEAST_PLACES = 2


def read(database_url: str, schemas: tuple[str, ...] = ()) -> Read:
    """Return the tables of a database, of all its schemas unless some are named.

    Raises:
        CommandError: the database cannot be opened or read.
    """
    try:
        with _connected(database_url) as connection, warnings.catch_warnings():
            warnings.simplefilter("ignore", sa.exc.SAWarning)  # unknown types are left out with their names
            return _Reader(connection).read(schemas)
    except (ValidationError, sa.exc.ArgumentError) as error:
        raise CommandError(explained(error)) from error
    except (ValueError, sa.exc.SQLAlchemyError) as error:
        said = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise CommandError(f"The database cannot be read: {said}") from error


@contextmanager
def _connected(database_url: str) -> Iterator[sa.Connection]:
    """Connect. A file of SQLite is opened for reading only, and must exist."""
    settings = Settings(database_url=database_url)
    url = url_of(settings)
    if url.get_backend_name() == "sqlite":
        file = Path(str(url.database))
        if not file.is_file():
            raise ValueError(f"there is no file {file}")
        query = {"mode": "ro", "uri": "true"}
        engine = sa.create_engine(url.set(database=f"file:{file.absolute()}", query=query))
    else:
        engine = create_engine(settings)
    with disposing(engine), engine.connect() as connection:
        yield connection


class Unknown(sa.types.UserDefinedType[Any]):
    """A type that SQLAlchemy does not know, by its name."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_options: object) -> str:
        """Return its name."""
        return self.name


class _Reader:
    """Reads one database."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name
        self._inspector: Any = sa.inspect(connection)
        self._read = Read()
        self._default = str(self._inspector.default_schema_name)
        self._unfit = dict(self._find_unfit())

    def read(self, schemas: tuple[str, ...]) -> Read:
        """Read the tables of some schemas, or of all."""
        known = self._schemas()
        for name in schemas:
            if name not in known:
                raise ValueError(f"there is no schema {name}; there are {', '.join(known)}")
        for name in schemas or known:
            self._read_schema(None if name == self._default else name)
        return self._read

    def _schemas(self) -> list[str]:
        found = self._inspector.get_schema_names()
        if self._dialect == "sqlite":
            return [name for name in found if name != "temp"]
        # The default schema first: of two tables with one name, the engine takes the first.
        return sorted((one for one in found if not one.startswith(OF_POSTGRESQL)), key=lambda one: one != self._default)

    def _find_unfit(self) -> Iterator[tuple[tuple[str | None, str], str]]:
        if self._dialect == "sqlite":
            for (name,) in self._connection.execute(VIRTUAL):
                yield (None, name), "it is a virtual table, or belongs to one"
            return
        for schema, name, reason in self._connection.execute(UNFIT):
            yield (None if schema == self._default else schema, name), reason

    def _read_schema(self, schema: str | None) -> None:
        views = [*self._inspector.get_view_names(schema=schema)]
        if self._dialect == "postgresql":
            views += self._inspector.get_materialized_view_names(schema=schema)
        tables = {*self._inspector.get_table_names(schema=schema)}
        tables |= {name for place, name in self._unfit if place == schema}
        for name in sorted(tables):
            reason = self._unfit.get((schema, name)) or self._table(schema, name)
            if reason is not None:
                self._read.left_out[_full(schema, name)] = reason
        self._read.left_out |= {_full(schema, name): "it is a view, which has no key" for name in sorted(views)}

    def _table(self, schema: str | None, name: str) -> str | None:
        """Read a table. Return why it is left out, or None."""
        if schema is None and name in (*ENGINE_TABLES, ALEMBIC):
            return self._engine_name(name)
        if "." in name:
            return "a foreign key could not name it, because its name has a dot"
        key = self._inspector.get_pk_constraint(name, schema=schema)["constrained_columns"]
        if not key:
            return "it has no primary key, so no path could name one of its rows"
        if self._dialect == "sqlite" and has_null(self._connection, name, key):
            return f"it has rows without a {' or '.join(key)}, so no path could name them"
        columns = tuple(self._columns(schema, name))
        self._read.tables.append(
            StoredTable(
                schema=schema,
                name=name,
                comment=self._comment(schema, name),
                columns=columns,
                key=tuple(key),
                makes_key=self._makes_key(name, [column for column in columns if column.name in key]),
                references=tuple(self._references(schema, name)),
                uniques=self._uniques(schema, name),
                write_fault=write_fault(self._connection, name) if self._dialect == "sqlite" else None,
                **self._indexes(schema, name),
            )
        )
        return None

    def _engine_name(self, name: str) -> str | None:
        """Return None for a table of the engine, or the clash of another program's with it."""
        stored = {column["name"] for column in self._inspector.get_columns(name)}
        if name == ALEMBIC:
            is_own = any(str(one).startswith("rowhouse_") for one in self._versions())
        else:
            is_own = {column.name for column in SQLModel.metadata.tables[name].columns} <= stored
        if is_own:
            return None
        self._read.hints.append(f"Rowhouse makes a table {name} of its own, and this database has another one.")
        return "Rowhouse has a table of this name for itself"

    def _versions(self) -> list[Any]:
        return [*self._connection.execute(sa.select(sa.column("version_num")).select_from(sa.table(ALEMBIC))).scalars()]

    def _comment(self, schema: str | None, name: str) -> str | None:
        if self._dialect == "sqlite":
            return None
        text: str | None = self._inspector.get_table_comment(name, schema=schema)["text"]
        return text

    def _columns(self, schema: str | None, table: str) -> Iterator[StoredColumn]:
        types: dict[str, str] = {}
        for found in self._inspector.get_columns(table, schema=schema):
            kind = found["type"]
            if isinstance(kind, sa.types.NullType) and self._dialect == "postgresql":
                names = {"schema": schema or self._default, "table": table}
                types = types or {str(row[0]): str(row[1]) for row in self._connection.execute(TYPE_NAMES, names)}
                kind = Unknown(types[found["name"]])
            identity = found.get("identity")
            column = StoredColumn(
                name=found["name"],
                kind=kind,
                nullable=found["nullable"] and not getattr(kind, "not_null", False),
                default=found["default"],
                computed=(found.get("computed") or {}).get("sqltext"),
                identity=("always" if identity["always"] else "by default") if identity else None,
            )
            yield self._with_precision(schema, table, column)

    def _with_precision(self, schema: str | None, table: str, column: StoredColumn) -> StoredColumn:
        """Return the column with a type that fits what the rows hold, where the database does not say it."""
        place = sa.table(table, schema=schema)
        if self._dialect == "sqlite":
            return replace(column, kind=fitting(self._connection, place, column))
        kind = column.kind
        some = sa.select(sa.column(column.name).label("value")).select_from(place).limit(SAMPLE).subquery()
        if isinstance(kind, postgresql.ARRAY):
            depth = self._connection.execute(sa.select(sa.func.max(sa.func.array_ndims(some.c.value)))).scalar()
            return replace(column, kind=postgresql.ARRAY(kind.item_type, dimensions=depth or 1))
        if type(kind) is not sa.NUMERIC or kind.scale is not None:
            return column
        places = self._connection.execute(sa.select(sa.func.max(sa.func.scale(some.c.value)))).scalar()
        return replace(column, kind=sa.NUMERIC(None, max(places or 0, LEAST_PLACES)))

    def _makes_key(self, table: str, key: list[StoredColumn]) -> bool:
        """Return whether the database makes the key of a new row."""
        if len(key) != 1:
            return False
        if self._dialect == "sqlite":
            return bool(self._connection.execute(ROWID, {"table": table}).scalar())
        return key[0].identity is not None or key[0].default is not None

    def _references(self, schema: str | None, table: str) -> Iterator[Reference]:
        defers = self._dialect == "sqlite" and self._connection.execute(DEFERS, {"table": table}).scalar()
        for found in self._inspector.get_foreign_keys(table, schema=schema):
            yield Reference(
                name=found["name"],
                columns=tuple(found["constrained_columns"]),
                schema=None if found["referred_schema"] == self._default else found["referred_schema"],
                table=found["referred_table"],
                remote=tuple(found["referred_columns"]),
                ondelete=found.get("options", {}).get("ondelete"),
                initially="DEFERRED" if defers else _initially(found.get("options", {})),
            )

    def _uniques(self, schema: str | None, table: str) -> tuple[tuple[str | None, Columns], ...]:
        if self._dialect == "sqlite":  # SQLAlchemy does not find each of them
            rows = self._connection.execute(UNIQUES, {"table": table}).all()
            names = dict.fromkeys(name for name, _ in rows)
            return tuple((None, tuple(column for name, column in rows if name == one)) for one in names)
        found = self._inspector.get_unique_constraints(table, schema=schema)
        return tuple((one["name"], tuple(one["column_names"])) for one in found)

    def _indexes(self, schema: str | None, table: str) -> dict[str, Any]:
        """Return the indexes of whole columns and of all rows."""
        plain, unique = set(), []
        for one in self._inspector.get_indexes(table, schema=schema):
            options = one.get("dialect_options", {})
            is_whole = None not in one["column_names"] and not any(key.endswith("_where") for key in options)
            if not is_whole or options.get("postgresql_using", "btree") != "btree" or "duplicates_constraint" in one:
                continue
            if one["unique"]:
                unique.append((str(one["name"]), tuple(map(str, one["column_names"]))))
            elif len(one["column_names"]) == 1:
                plain.add(str(one["column_names"][0]))
        return {"indexed": frozenset(plain), "unique_indexes": tuple(unique)}


def _full(schema: str | None, name: str) -> str:
    return name if schema is None else f"{schema}.{name}"


def _initially(options: Mapping[str, Any]) -> str | None:
    if not options.get("deferrable"):
        return None
    return str(options.get("initially") or "IMMEDIATE").upper()
