"""Call every operation once before the load begins, so that the load skips none and calls each in the right role."""

from rowhouse.load.accounts import Account, Send, UnexpectedResponseError
from rowhouse.load.bodies import UnsupportedSchemaError
from rowhouse.load.operations import Api, Operation, UncallableOperationError
from rowhouse.load.profile import Profile
from rowhouse.load.virtual_user import Learned, VirtualUser

ADVICE = (
    "Say in the Profile of the locustfile what cannot be guessed: values, steps_before, starting_soon. "
    "Name in leave_out what no load can call."
)
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
            _call(user, operation, api, learned)
            if api.create_of(operation.path) is operation:
                _call(user, operation, api, learned)
        except (UnexpectedResponseError, UnsupportedSchemaError, LookupError) as error:
            errors.append(f"{operation.label}: {str(error).removeprefix(f'{operation.label}: ')}")
    if errors:
        raise UncallableOperationError("\n".join((*errors, ADVICE)))
    return learned


def _sign_in(administrator: Account, send: Send) -> None:
    try:
        administrator.sign_in(send)
    except UnexpectedResponseError as error:
        raise UncallableOperationError(
            f"set ADMIN_EMAIL and ADMIN_PASSWORD to those of the server's administrator: {error}"
        ) from error


def _call(user: VirtualUser, operation: Operation, api: Api, learned: Learned) -> None:
    """Call an operation. Find out whether rows of a collection may refer to the same rows."""
    try:
        user.call(operation)
    except UnexpectedResponseError as error:
        failed = api.by_label.get(error.label)
        if error.code != "duplicate" or failed is None or failed.collection in learned.unique_pairs:
            raise
        learned.unique_pairs.add(failed.collection)
        _call(user, operation, api, learned)
