"""What a request assumes about the account of its caller (decision 0074)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from rowhouse.core.security import Caller

if TYPE_CHECKING:
    from rowhouse.db.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Assumption:
    """An account as this process has read it last. The request must not succeed unless it is still the same.

    `condition`, with `values`, is true as long as it is. `read` returns the account's present state, or raises the 401
    or 403 of a caller who has none any more (decision 0074).
    """

    caller: Caller
    condition: sa.ColumnElement[bool]
    values: Mapping[str, Any]
    read: Callable[["UnitOfWork"], Caller]
