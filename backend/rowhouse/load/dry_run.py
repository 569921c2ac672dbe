"""Call every operation once before the load begins, so that the load skips none and calls each in the right role."""

from rowhouse.load.accounts import Account, Send, UnexpectedResponseError
from rowhouse.load.bodies import UnsupportedSchemaError
from rowhouse.load.operations import Api, Operation, UncallableOperationError
from rowhouse.load.profile import Profile
from rowhouse.load.virtual_user import Learned, VirtualUser

METHODS = ("POST", "GET", "PATCH", "PUT", "DELETE")


def dry_run(api: Api, *, send: Send, administrator: Account, profile: Profile | None = None) -> Learned:
    """Call every operation once and return what was learned about the API.

    Raises:
        UncallableOperationError: a valid request of some operation got no valid response. The message names each
            operation and its response.
    """
    if api.has_accounts:
        _sign_in(administrator, send)
    learned = Learned()
    user = VirtualUser(api, learned, send=send, administrator=administrator, profile=profile, is_alone=True)
    errors = []
    for operation in sorted(api.operations, key=lambda o: (o.takes_row, METHODS.index(o.method))):
        try:
            user.call(operation)
            if api.create_of(operation.path) is operation:
                _call_again(user, operation, learned)
        except (UnexpectedResponseError, UnsupportedSchemaError, LookupError) as error:
            errors.append(f"{operation.label}: {error}")
    if errors:
        raise UncallableOperationError("\n".join(errors))
    return learned


def _sign_in(administrator: Account, send: Send) -> None:
    try:
        administrator.sign_in(send)
    except UnexpectedResponseError as error:
        raise UncallableOperationError(
            f"set ADMIN_EMAIL and ADMIN_PASSWORD to those of the server's administrator: {error}"
        ) from error


def _call_again(user: VirtualUser, operation: Operation, learned: Learned) -> None:
    """Find out whether a second row may refer to the same rows as the first one."""
    try:
        user.call(operation)
    except UnexpectedResponseError as error:
        if error.code != "duplicate":
            raise
        learned.unique_pairs.add(operation.path)
        user.call(operation)
