"""State transitions as data: from which states a step leads where, and who may take it."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Generic, NamedTuple, TypeVar

from rowhouse.core.errors import ConflictError
from rowhouse.core.policy import SIGNED_IN, Policy
from rowhouse.core.security import Caller

StateT = TypeVar("StateT", bound=StrEnum)


class TransitionError(ConflictError):
    """409: the state of the row, or the time, does not allow the step.

    Example:
        raise TransitionError("A booking can be started from 15 minutes before start_time.")
    """

    code = "transition_refused"


class Transition(NamedTuple, Generic[StateT]):
    """A step from one of several states to another. `name` is the verb of its route.

    Example:
        SHIP = Transition("ship", (OrderStatus.PLACED,), OrderStatus.SHIPPED, policy=ADMIN)
        SHIP.check_caller(caller)
        SHIP.check_source(order.status, "order")
    """

    name: str
    sources: Sequence[StateT]
    target: StateT
    policy: Policy = SIGNED_IN

    def check_caller(self, caller: Caller | None) -> None:
        """Require that the policy allows the caller to take the step.

        Raises:
            NotAuthenticatedError, PermissionDeniedError: 401 or 403, as for `Policy.check`.
        """
        self.policy.check(caller)

    def check_source(self, state: StrEnum, entity: str) -> None:
        """Require that the step leads on from this state.

        Raises:
            TransitionError: 409, naming the states from which it does.
        """
        if state not in self.sources:
            allowed = " or ".join(self.sources)
            raise TransitionError(f"To {self.name} it, the {entity} must be {allowed}; it is {state}.")
