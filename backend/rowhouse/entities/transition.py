"""Steps as data: from which states a transition starts, to which it leads, who may take it, and under which check.

`register(..., steps=(CONFIRM, CANCEL))` generates `POST /{id}/confirm` and `POST /{id}/cancel` from it.
"""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from rowhouse.core.errors import ConflictError
from rowhouse.core.policy import Policy
from rowhouse.core.security import Caller
from rowhouse.db.compiled import Row
from rowhouse.db.unit_of_work import UnitOfWork

StateT = TypeVar("StateT")
Check = Callable[[Row, UnitOfWork], None]


class TransitionError(ConflictError):
    """409: the state of the row, or the time, does not allow the step.

    Example:
        raise TransitionError("A booking can be started from 15 minutes before start_time.")
    """

    code = "transition_refused"


@dataclass(frozen=True, slots=True)
class Transition(Generic[StateT]):
    """A step from one of several states to another. `name` is the verb of its URL and of its operation id.

    Example:
        CANCEL = Transition("cancel", (OrderStatus.PLACED,), OrderStatus.CANCELLED)
        SHIP = Transition("ship", (OrderStatus.PLACED,), OrderStatus.SHIPPED, policy=ADMIN, check=require_address)
        registry.register(Order, owner="customer_id", steps=(CANCEL, SHIP))

    - `policy`: who may take the step, instead of the entity's `write`. The row must be one that the caller may change.
    - `check(stored, unit)`: raises an error if the locked row, or the time, does not allow the step.
    - `field`: the column of the state. Clients never set it, so it is marked `READ_ONLY`.
    - `summary`, `description`: the text in OpenAPI.
    """

    name: str
    sources: Sequence[StateT]
    target: StateT
    _: KW_ONLY
    policy: Policy | None = None
    check: Check | None = None
    field: str = "status"
    summary: str = ""
    description: str = ""

    def check_caller(self, caller: Caller | None) -> None:
        """Require that the step's own policy, if it has one, allows the caller.

        Raises:
            NotAuthenticatedError, PermissionDeniedError: 401 or 403, as for `Policy.check`.
        """
        if self.policy is not None:
            self.policy.check(caller)

    def check_source(self, state: Any, entity: str) -> None:
        """Require that the step starts from this state.

        Raises:
            TransitionError: 409, naming the states from which it does.
        """
        if state not in self.sources:
            verb = self.name.replace("-", " ")
            raise TransitionError(f"To {verb} it, the {entity} must be {self.origin}; it is {shown(state)}.")

    @property
    def origin(self) -> str:
        """The states from which the step starts, as text: `PENDING or CONFIRMED`."""
        return " or ".join(shown(state) for state in self.sources)


def shown(state: Any) -> str:
    """Return a state as clients see it."""
    return str(state.value if isinstance(state, Enum) else state)
