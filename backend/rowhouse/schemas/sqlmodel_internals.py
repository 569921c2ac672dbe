"""Parts of SQLModel that it does not export. No other module uses such parts of SQLModel.

`tests/crud/test_sqlmodel_internals.py` fails first when an upgrade changes one.
"""

from collections.abc import Callable, Iterable, Mapping
from traceback import walk_tb
from typing import Any

import sqlalchemy as sa
from pydantic import PydanticUserError
from pydantic.fields import FieldInfo
from sqlalchemy.orm import registry
from sqlmodel import SQLModel
from sqlmodel.main import FieldInfoMetadata, SQLModelMetaclass, get_column_from_field

# Words of pydantic 1 in `sqlmodel.Field`, with their defaults.
LOST: dict[str, Any] = {"regex": None, "const": None, "unique_items": None, "allow_mutation": True, "include": None}


def constraints_in(metadata: Iterable[Any]) -> list[Any]:
    """Return the parts of a field's metadata that are not SQLModel's own options, such as `index=`."""
    return [part for part in metadata if not isinstance(part, FieldInfoMetadata)]


def mapper_registry() -> registry:
    """Return the SQLAlchemy registry of classes that derive from `SQLModel` and name no other."""
    return SQLModel._sa_registry  # noqa: SLF001  nothing public returns it


def relationship_names(model: type[SQLModel]) -> set[str]:
    """Return the names of a class's relationships. SQLAlchemy's mapper would look for the related classes."""
    names: Mapping[str, Any] = model.__sqlmodel_relationships__
    return {*names}


def lost_options(info: FieldInfo) -> dict[str, Any]:
    """Return the options that `sqlmodel.Field` accepts and pydantic 2 ignores, with their values."""
    given = info._attributes_set  # noqa: SLF001  SQLModel leaves them nowhere else
    return {name: given[name] for name, default in LOST.items() if given.get(name, default) != default}


def states_no_index(info: FieldInfo) -> bool:
    """Return whether the class states `index=False`, which is not the same as stating nothing about an index."""
    options = [part for part in info.metadata if isinstance(part, FieldInfoMetadata)]
    columns = [part.sa_column for part in options if isinstance(part.sa_column, sa.Column)]
    if columns:
        return columns[0].index is False
    keywords = [part.sa_column_kwargs for part in options if isinstance(part.sa_column_kwargs, Mapping)]
    return any(part.index is False for part in options) or any(given.get("index") is False for given in keywords)


def explain_statements(
    explain_fields: Callable[[str, Exception], Exception],
    explain_column: Callable[[type[SQLModel], str, Exception], Exception],
    explain_table: Callable[[type[SQLModel], Exception], Exception],
) -> None:
    """Replace the error of a table's class statement that is refused. Which statements are accepted stays as it is.

    The errors name neither the class nor the field. `explain_fields` gets the name of a class whose fields pydantic
    refuses, `explain_column` the class and the field that SQLModel makes no column of, and `explain_table` a class that
    SQLAlchemy does not map.
    """
    make_class, map_class = SQLModelMetaclass.__new__, SQLModelMetaclass.__init__

    def __new__(cls: Any, *arguments: Any, **options: Any) -> Any:  # noqa: N807  Python's name
        try:
            return make_class(cls, *arguments, **options)
        except (TypeError, ValueError, RuntimeError) as error:
            statement = _making_column(error)
            if statement is not None:
                raise explain_column(statement["new_cls"], statement["k"], error) from None
            if isinstance(error, PydanticUserError) and options.get("table"):
                raise explain_fields(arguments[0], error) from None
            raise

    def __init__(cls: Any, *arguments: Any, **options: Any) -> None:  # noqa: N807  Python's name
        try:
            map_class(cls, *arguments, **options)
        except sa.exc.SQLAlchemyError as error:
            raise explain_table(cls, error) from None

    changed: Any = SQLModelMetaclass
    changed.__new__, changed.__init__ = staticmethod(__new__), __init__


def _making_column(error: Exception) -> Mapping[str, Any] | None:
    """Return the local names of SQLModel's metaclass at the field whose column failed. None for any other error."""
    caller = None
    for frame, _ in walk_tb(error.__traceback__):
        if frame.f_code is get_column_from_field.__code__ and caller is not None:
            return caller.f_locals
        caller = frame
    return None
