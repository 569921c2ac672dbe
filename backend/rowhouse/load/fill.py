"""Fill the tables of a running API before a load: the API itself creates the rows, so every rule of an entity holds."""

from contextlib import suppress

from rowhouse.load.accounts import Account, Send, UnexpectedResponseError
from rowhouse.load.bodies import UnsupportedSchemaError
from rowhouse.load.operations import ELEMENTS, Api, UncallableOperationError
from rowhouse.load.profile import Profile
from rowhouse.load.virtual_user import ConflictError, Learned, VirtualUser


def fill(
    api: Api, learned: Learned, *, send: Send, administrator: Account, profile: Profile | None = None, rows: int
) -> None:
    """Create at least this number of rows in every collection that takes batches, those referred to included.

    A collection in which batches conflict, such as one with few possible values, stays smaller.

    Raises:
        UncallableOperationError: a batch got a wrong response.
    """
    user = VirtualUser(api, learned, send=send, administrator=administrator, profile=profile)
    for operation in api.operations:
        if operation is not api.batch_create_of(operation.collection):
            continue
        for _ in range(-(-rows // ELEMENTS)):
            try:
                with suppress(ConflictError):
                    user.call(operation)
            except (UnexpectedResponseError, UnsupportedSchemaError, LookupError) as error:
                raise UncallableOperationError(f"{operation.label}, to fill the tables: {error}") from error
