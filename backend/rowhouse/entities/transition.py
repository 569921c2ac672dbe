"""A life in states, as data: each step says from which states it leads where, and who may take it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from rowhouse.core.errors import ConflictError, PermissionDeniedError
from rowhouse.core.security import Caller

StateT = TypeVar("StateT", bound=StrEnum)


class TransitionError(ConflictError):
    """409: the state of the row, or the time, does not allow the transition.

    Example:
        raise TransitionError("A booking can be started from 15 minutes before start_time.")
    """

    code = "transition_refused"


class Transition(NamedTuple, Generic[StateT]):
    """A change of a row's state. `name` is the verb of its route.

    Example:
        SHIP = Transition("ship", (OrderStatus.PLACED,), OrderStatus.SHIPPED, administrators_only=True)
        SHIP.require_permission(caller, "order")
        SHIP.require_source(order.status, "order")
    """

    name: str
    sources: Sequence[StateT]
    target: StateT
    administrators_only: bool = False

    def require_permission(self, caller: Caller | None, entity: str) -> None:
        """Some steps are the administrators'.

        Raises:
            PermissionDeniedError: 403.
        """
        if self.administrators_only and not (caller and caller.is_admin):
            raise PermissionDeniedError(f"Only administrators {self.name} a {entity}.")

    def require_source(self, state: StrEnum, entity: str) -> None:
        """A step leads on from some states only.

        Raises:
            TransitionError: 409, saying from which.
        """
        if state not in self.sources:
            allowed = " or ".join(self.sources)
            raise TransitionError(f"To {self.name} it, the {entity} must be {allowed}; it is {state}.")
