"""Does at the start of a server what the first requests for each entity would wait for."""

from collections.abc import Iterable
from typing import Any

from rowhouse.auth.authenticator import IS_UNCHANGED, SELECT_CALLER
from rowhouse.crud.base import CRUDBase
from rowhouse.db.compiled import EVERYTHING, CompiledStatement, WithCondition
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.sql.statements import PAGE_LIMIT, PAGE_OFFSET


def compile_statements(cruds: Iterable[CRUDBase[Any]], *, has_accounts: bool) -> None:
    """Compile the statements of a first page and of a row of each entity, the row also for an account: 2 ms each.

    A statement that depends on the caller, such as one for the rows of an owner, is compiled for the first such
    request.
    """
    for crud in cruds:
        _first_page(crud)
        crud.statements.get(EVERYTHING)
        if has_accounts:
            crud.statements.get(WithCondition(EVERYTHING, IS_UNCHANGED))


def open_connection(unit: UnitOfWork, *, cruds: Iterable[CRUDBase[Any]], has_accounts: bool) -> None:
    """Ask for a page without rows of each entity, so that PostgreSQL has read its catalogs: 0.4 ms each.

    The connection is that of the calling thread.

    Raises:
        RowhouseError: when the database refuses a statement.
    """
    if has_accounts:
        unit.fetch(SELECT_CALLER, {"caller_id": 0})
    for crud in cruds:
        unit.run(_first_page(crud), {PAGE_LIMIT: 0, PAGE_OFFSET: 0})


def _first_page(crud: CRUDBase[Any]) -> CompiledStatement:
    shape = crud.resource.parameters.query_of({}).shape
    statement: CompiledStatement = crud.statements.list(shape, EVERYTHING)
    return statement
