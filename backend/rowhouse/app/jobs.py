"""Units of work outside a request: for commands, scheduled jobs and shells.

Example:
    app = create_app()
    with rowhouse.unit(app) as unit:
        order = get_crud(app, Order).get(unit, 17)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fastapi import FastAPI
from sqlmodel import SQLModel

from rowhouse.core.security import Caller
from rowhouse.crud.base import CRUDBase
from rowhouse.db.unit_of_work import UnitOfWork


@contextmanager
def unit(app: FastAPI, *, caller: Caller | None = None, write: bool = True) -> Iterator[UnitOfWork]:
    """Open a unit of work on the database of an application, and commit it at the end of the block.

    Example:
        with rowhouse.unit(app, caller=caller) as unit:
            get_crud(app, Order).create(unit, values)

    An exception rolls it back. `caller` is the account on whose behalf it works: scopes and owners see this account.
    Each thread keeps one connection open until the application closes.

    Raises:
        UnavailableError: if the database does not respond.
    """
    # As the requests' units: traced, if a trace is open.
    with app.state.runner.make_unit(app.state.database, write=write) as opened:
        opened.caller = caller
        yield opened


def get_crud(app: FastAPI, model: type[SQLModel]) -> CRUDBase[Any]:
    """Return the verbs and rules of a registered table class, as its generated routes use them.

    Example:
        order = get_crud(app, Order).get(unit, 17)

    With several registries it is that of the first which registers the class.

    Raises:
        LookupError: for a class that no registry registers.
    """
    for cruds in app.state.cruds.values():
        if model in cruds:
            found: CRUDBase[Any] = cruds[model]
            return found
    raise LookupError(f"{model.__name__} is not registered; add registry.register({model.__name__})")
