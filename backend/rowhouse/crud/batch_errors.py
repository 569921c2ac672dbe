"""Errors of batches: which element is at fault, and which error of several stages to report.

Each stage of a write (references, hooks, overlaps, the database) sees all rows of a batch at once. The response must
still be the same as if the rows were written one after the other. So a stage that rejects an element leaves the
elements before it to the later stages, and the error of the first faulty element is reported.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Literal, Self, TypeVar

import sqlalchemy as sa

from rowhouse.core.errors import RowhouseError
from rowhouse.db.database import DRIVER_ERRORS
from rowhouse.db.integrity import translate
from rowhouse.db.unit_of_work import UnitOfWork

T = TypeVar("T")
R = TypeVar("R")


class BatchErrors:
    """Collects the error of a batch's first faulty element. Use one for each batch.

    Example:
        errors = BatchErrors()
        with errors:
            references.check_many(unit, rows)
        rows = errors.before(rows)
        ...
        errors.raise_if_any()
    """

    def __init__(self) -> None:
        self._error: RowhouseError | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Keep an error that names a later element. Let any other error pass."""
        if not isinstance(error, RowhouseError) or not error.element:  # no element comes before the first one
            return False
        is_ours = error.status >= RowhouseError.status
        # On PostgreSQL the transaction has ended with it.
        is_from_database = isinstance(error.__cause__, (*DRIVER_ERRORS, sa.exc.DBAPIError))
        if is_ours or is_from_database:
            return False
        self._error = error
        return True

    def before(self, items: Sequence[T]) -> Sequence[T]:
        """Return the elements before the faulty one, or all."""
        return items if self._error is None else items[: self._error.element]

    def raise_if_any(self) -> None:
        """Raise the error that was kept."""
        if self._error is not None:
            raise self._error


class SingleRow(BatchErrors):
    """As `BatchErrors`, for a write of one row: every error passes, without an element. Has no state."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        """Remove the element from an error."""
        if isinstance(error, RowhouseError):
            error.element = None
        return False


SINGLE_ROW = SingleRow()


@contextmanager
def element_error(position: int) -> Iterator[None]:
    """Name an element of the batch, counted from 0, in each error that is raised in the block.

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
    """Remove the element from each error that is raised in the block: the client sent one row, not a batch.

    Example:
        with single_row_error():
            row = crud.create_many(unit, [values])[0]
    """
    with SINGLE_ROW:
        yield


def each_row(unit: UnitOfWork, items: Iterable[T], work: Callable[[T], R]) -> list[R]:
    """Return what `work` returns for each item, in order. Its errors name the element."""
    done = []
    for position, item in enumerate(items):
        with element_error(position):
            try:
                done.append(work(item))
            except sa.exc.DBAPIError as error:  # from a session that a hook has flushed
                raise translate(error.orig, unit.database.catalog) from error
    return done
