"""Parts of SQLAlchemy that are not documented, for compiled statements. No other module of `rowhouse.db` uses one.

`tests/core/test_sqlalchemy_compilation.py` fails first when an upgrade changes one. `entities/sqlalchemy_internals.py`
has those of tables; `sqlite_schemas.py` is a dialect and overrides its compilers.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.sql import visitors


class CompiledText(NamedTuple):
    """A compiled statement: its text, the names of its positional parameters, and its bind parameters.

    `expansions` are the names of the single values of each list, such as that of an `IN`.
    """

    text: str
    order: Sequence[str]
    constants: Mapping[str, Any]
    names: Mapping[Any, str]
    expansions: Mapping[str, Sequence[str]]


def compile_text(source: sa.Select[Any] | sa.UpdateBase, dialect: sa.Dialect) -> CompiledText:
    """Compile a statement whose values are not known yet."""
    for element in elements_of(source):
        if isinstance(element, sa.BindParameter):
            # SQLAlchemy requires the values already here when the predicate has an IN, whose length is part of the
            # text.
            element.required = False
    compiled: Any = source.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    state = compiled._post_compile_expanded_state  # noqa: SLF001  the public way requires the values
    expansions = state.parameter_expansion if state else {}
    return CompiledText(str(compiled), compiled.positiontup, dict(compiled.params), compiled.bind_names, expansions)


def elements_of(source: sa.ClauseElement) -> Iterator[Any]:
    """Yield every element of a statement or a part of one."""
    yield from visitors.iterate(source)


def set_values(clause: sa.ColumnElement[bool], values: Mapping[str, Any]) -> sa.ColumnElement[bool]:
    """Set the values of the named bind parameters of a clause that nothing else uses, and return the clause."""
    for element in visitors.iterate(clause):
        if isinstance(element, sa.BindParameter) and element.key in values:
            element.value, element.required = values[element.key], False
    return clause


def cache_key_of(clause: sa.ColumnElement[bool]) -> tuple[Any, Sequence[sa.BindParameter[Any]]] | None:
    """Return the key that equal clauses share whatever their values, and the bind parameters with the values.

    None if the clause has no key, or if its text depends on its values, as with an `IN`.
    """
    found = clause._generate_cache_key()  # noqa: SLF001  the key of SQLAlchemy's own cache of compiled statements
    if found is None or any(bind.expanding for bind in found.bindparams):
        return None
    return found.key, found.bindparams


def write_standard_literals(dialect: Any) -> None:
    """Compile statements for `standard_conforming_strings=on`, which every connection sets.

    SQLAlchemy reads the setting of the first connection before it is set. It would double the backslash of ESCAPE where
    a role has the setting off.
    """
    dialect._backslash_escapes = False  # noqa: SLF001  it has no other name


_NAMES = sa.make_url("postgresql://").get_dialect()().identifier_preparer


def stored_name(constraint: str) -> str:
    """Return the name that PostgreSQL stores for a long name of the naming convention, which SQLAlchemy shortens."""
    return str(_NAMES.truncate_and_render_constraint_name(constraint))
