"""Calls every operation once before the load begins, so that none is skipped in it and each is called in the right role."""

from perf.accounts import Account, RefusedError, Send
from perf.bodies import UnmakeableError
from perf.operations import Api, Operation, UncallableOperationError
from perf.visitor import Plan, Visitor

FIRST = ("POST", "GET", "PATCH", "PUT", "DELETE")


def rehearse(api: Api, *, send: Send, administrator: Account) -> Plan:
    """What there is to know of the API before it is loaded.

    Raises:
        UncallableOperationError: some operation answers no valid request as documented; names each, and its answer.
    """
    try:
        administrator.sign_in(send)
    except RefusedError as error:
        raise UncallableOperationError(
            f"set ADMIN_EMAIL and ADMIN_PASSWORD to those of the server's administrator: {error}"
        ) from error
    plan = Plan()
    visitor = Visitor(api, plan, send=send, administrator=administrator)
    complaints = []
    for operation in sorted(api.operations, key=lambda o: (o.takes_row, FIRST.index(o.method))):
        try:
            visitor.call(operation)
            if api.create_of(operation.path) is operation:
                _call_again(visitor, operation, plan)
        except (RefusedError, UnmakeableError, LookupError) as error:
            complaints.append(f"{operation.label}: {error}")
    if complaints:
        raise UncallableOperationError("\n".join(complaints))
    return plan


def _call_again(visitor: Visitor, operation: Operation, plan: Plan) -> None:
    """Find out whether a second row may refer to the same rows as the first one."""
    try:
        visitor.call(operation)
    except RefusedError as error:
        if error.code != "duplicate":
            raise
        plan.paired.add(operation.path)
        visitor.call(operation)
