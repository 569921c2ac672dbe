"""Which element of a batch is at fault: errors that name theirs, and the earliest of those that one stage after the other finds.

Rows of a batch are judged as if one were made after the other, though each stage (references, hooks, overlaps, the database) sees all of
them at once. So a stage that refuses an element leaves those before it to the later stages, and what is told in the end is the fault that
the first of the faulty elements has.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import sqlalchemy as sa

from rowhouse.core.errors import RowhouseError
from rowhouse.db.integrity import translate
from rowhouse.db.unit_of_work import DRIVER_ERRORS, UnitOfWork

T = TypeVar("T")
R = TypeVar("R")


class FirstError:
    """The fault of a batch's first faulty element, as far as its stages have looked."""

    def __init__(self) -> None:
        self._error: RowhouseError | None = None

    @contextmanager
    def stage(self) -> Iterator[None]:
        """Within, elements are judged in their order; an error that names its element is kept, any other goes on its way."""
        try:
            yield
        except RowhouseError as error:
            is_ours = error.status >= RowhouseError.status  # and no element's
            has_ended = isinstance(
                error.__cause__, (*DRIVER_ERRORS, sa.exc.DBAPIError)
            )  # the transaction, on PostgreSQL
            if is_ours or has_ended or not error.element:  # before the first element there is nothing to judge
                raise
            self._error = error

    def before(self, items: Sequence[T]) -> Sequence[T]:
        """The elements before the fault; all where there is none."""
        return items if self._error is None else items[: self._error.element]

    def settle(self) -> None:
        """Raise the fault, if there is one."""
        if self._error is not None:
            raise self._error


@contextmanager
def element_error(position: int) -> Iterator[None]:
    """Add the position of a batch element, counted from 0, to an error that is raised within the block.

    Example:
        for position, row in enumerate(rows):
            with element_error(position):
                require_available(row)
    """
    try:
        yield
    except RowhouseError as error:
        error.element_error(position)
        raise


@contextmanager
def single_row_error() -> Iterator[None]:
    """Remove the position of a batch element from an error: the client sent one row, no batch.

    Example:
        with single_row_error():
            row = crud.create_many(unit, [values])[0]
    """
    try:
        yield
    except RowhouseError as error:
        error.element = None
        raise


def each_row(unit: UnitOfWork, items: Sequence[T], work: Callable[[T], R]) -> list[R]:
    """What `work` gives for one element after the other; its errors name the element."""
    done = []
    for position, item in enumerate(items):
        with element_error(position):
            try:
                done.append(work(item))
            except sa.exc.DBAPIError as error:  # from a session that a hook has flushed
                raise translate(error.orig, unit.database.catalog) from error
    return done
