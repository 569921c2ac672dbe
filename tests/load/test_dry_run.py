"""The dry run calls every operation of a running application, and reports those that it cannot call."""

from collections.abc import Iterator

import pytest
from starlette.testclient import TestClient

from rowhouse.load.accounts import Account, sender
from rowhouse.load.dry_run import dry_run
from rowhouse.load.fill import fill
from rowhouse.load.hints import hints_of
from rowhouse.load.operations import Api, UncallableOperationError
from rowhouse.load.virtual_user import VirtualUser
from tests.conftest import ADMIN_EMAIL
from tests.databases import Databases
from tests.fast_hashing import cheapen
from tests.load.load_steps import RecordingSender, administrator
from tests.openapi_documents import Document
from tests.sample_entities.keys.main import registry as keys_registry
from tests.sample_entities.odd.registry import registry
from tests.sample_entities.opened import open_keys

# The requests are the same on both databases, so one database is enough; the product's test uses the other one.
ON_POSTGRESQL = pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
ON_SQLITE = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@pytest.fixture(scope="module", autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """Passwords are hashed with few rounds, because a user signs in with every account."""
    with pytest.MonkeyPatch.context() as patch:
        cheapen(patch)
        yield


def document(client: TestClient) -> Document:
    """Return the OpenAPI document."""
    return dict(client.get("/openapi.json").json())


@ON_POSTGRESQL
def test_after_the_dry_run_every_operation_gets_a_valid_response(sample_client: TestClient) -> None:
    """The user creates its own rows, and calls the operations in reverse order, the deletes first.

    The tables can be filled. The hints tell of a reference that OpenAPI cannot express: a text column's.
    """
    api, admin = Api(document(sample_client), hints_of([registry])), administrator()
    learned = dry_run(api, send=sender(sample_client), administrator=admin)
    fill(api, learned, send=sender(sample_client), administrator=admin, rows=21)
    assert sample_client.get("/api/v1/stations").json()["total"] > 40
    send = RecordingSender(sample_client)
    user = VirtualUser(api, learned, send=send, administrator=admin)
    for operation in reversed(api.operations):
        user.call(operation)
    assert send.errors == []
    assert send.valid == set(api.by_label)


@ON_SQLITE
def test_a_wrong_path_in_the_document_is_an_error(sample_client: TestClient) -> None:
    """The error names the operations of that path only."""
    paths = document(sample_client)["paths"]
    wrong = {
        "/api/v1/auth/login": paths["/api/v1/auth/login"],
        "/api/v1/users": paths["/api/v1/users"],
        "/api/v1/users/mine": paths["/api/v1/users/me"],
    }
    with pytest.raises(UncallableOperationError) as caught:
        dry_run(
            Api({**document(sample_client), "paths": wrong}), send=sender(sample_client), administrator=administrator()
        )
    *lines, advice = str(caught.value).splitlines()
    assert {line.partition(":")[0] for line in lines} == {"GET /users/mine", "PATCH /users/mine"}
    assert not any("/users/mine" in line.partition(":")[2] for line in lines)
    assert "Profile of the locustfile" in advice


@ON_SQLITE
def test_a_wrong_password_of_the_administrator_is_an_error(sample_client: TestClient) -> None:
    """The login is tried once, not once for each operation."""
    send = RecordingSender(sample_client)
    wrong = Account(email=ADMIN_EMAIL, password="not-it")
    with pytest.raises(UncallableOperationError, match="ADMIN_PASSWORD"):
        dry_run(Api(document(sample_client)), send=send, administrator=wrong)
    assert send.valid == set()
    assert len(send.errors) == 1


@ON_SQLITE
def test_rows_of_any_key_are_called(backend: str, databases: Databases) -> None:
    """Texts, dates, UUIDs, several members, set by the server or by clients; references to two of them."""
    with open_keys(databases, backend) as client:
        api, admin = Api(document(client), hints_of([keys_registry])), administrator()
        learned = dry_run(api, send=sender(client), administrator=admin)
        send = RecordingSender(client)
        user = VirtualUser(api, learned, send=send, administrator=admin)
        for operation in reversed(api.operations):
            user.call(operation)
        assert send.errors == []
        assert send.valid == set(api.by_label)
