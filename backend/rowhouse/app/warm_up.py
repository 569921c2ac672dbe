"""Compiles at the start of a server what the first requests for each entity would wait for."""

from collections.abc import Iterable
from typing import Any

from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import EVERYTHING


def warm_up(cruds: Iterable[CRUDBase[Any]]) -> None:
    """Compile the statements of a first page and of a row of each entity: 2 ms each.

    A statement that depends on the caller, such as one for the rows of an owner, is compiled for the first such
    request.
    """
    for crud in cruds:
        shape = crud.resource.parameters.query_of({}).shape
        crud.statements.list(shape, EVERYTHING)
        crud.statements.get(EVERYTHING)
