"""The load test calls every operation of the product's OpenAPI document, in the role with the fewest rights."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from starlette.testclient import TestClient

from app.api import registry
from app.main import create_app
from perf.app.profile import PROFILE
from perf.product import default_profile
from rowhouse.load import load_profile
from rowhouse.load.accounts import sender
from rowhouse.load.bodies import Bodies, UnsupportedSchemaError
from rowhouse.load.dry_run import dry_run
from rowhouse.load.hints import hints_of
from rowhouse.load.operations import Api
from rowhouse.load.virtual_user import ADMIN, ANONYMOUS, Learned, VirtualUser
from rowhouse.testing.bodies.maker import SLOT
from tests.fast_hashing import cheapen
from tests.load.load_steps import START, RecordingSender, administrator, check_bodies, creatable, reference
from tests.openapi_documents import document_of

USER, DRIVER = "user", "driver"
# The requests are the same on both databases, so one database is enough; the sample entities' test uses the other one.
pytestmark = pytest.mark.parametrize("backend", ["sqlite"], indirect=True)


@dataclass(frozen=True)
class Loaded:
    """The product after a dry run."""

    client: TestClient
    api: Api
    learned: Learned


@pytest.fixture(scope="module", autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """Passwords are hashed with few rounds, because a user signs in with every account."""
    with pytest.MonkeyPatch.context() as patch:
        cheapen(patch)
        yield


@pytest.fixture(scope="module")
def loaded(backend: str, make_app: Callable[..., TestClient]) -> Loaded:
    """The product after a dry run on a database of its own."""
    client = make_app(backend)
    api = Api(client.get("/openapi.json").json(), hints_of([registry]))
    learned = dry_run(api, send=sender(client), administrator=administrator(), profile=PROFILE)
    return Loaded(client, api, learned)


@pytest.fixture(scope="module")
def api(backend: str) -> Api:
    """The operations of the product."""
    return Api(document_of(create_app))


def test_after_the_dry_run_every_operation_gets_a_valid_response(loaded: Loaded) -> None:
    """The user creates its own rows, and calls the operations in reverse order, the deletes first."""
    send = RecordingSender(loaded.client)
    user = VirtualUser(loaded.api, loaded.learned, send=send, administrator=administrator(), profile=PROFILE)
    for operation in reversed(loaded.api.operations):
        user.call(operation)
    assert send.errors == []
    assert send.valid == set(loaded.api.by_label)


def test_an_operation_is_called_in_the_least_role(loaded: Loaded) -> None:
    """A list of owned rows is called in the role that can create them."""
    roles = loaded.learned.roles
    assert roles["GET /books/{id}"] == ANONYMOUS
    assert roles["POST /bookings"] == roles["GET /bookings"] == DRIVER
    assert roles["POST /books"] == roles["DELETE /bookings/{id}"] == ADMIN
    assert roles["POST /orders"] == roles["POST /orders/{id}/cancel"] == USER
    assert roles["POST /orders/{id}/ship"] == roles["POST /books/{id}/stock"] == ADMIN
    assert loaded.learned.unique_pairs == {"/api/v1/reviews"}


def test_the_product_has_the_default_profile(backend: str) -> None:
    assert load_profile(default_profile()) is PROFILE


def test_every_label_of_the_profile_is_an_operation(api: Api) -> None:
    """Another label would be ignored."""
    steps = {label for labels in PROFILE.steps_before.values() for label in labels}
    labels = steps | PROFILE.steps_before.keys() | PROFILE.starting_soon | PROFILE.consumed.keys()
    assert labels <= api.by_label.keys()


@pytest.mark.parametrize("path", creatable(registry))
def test_generated_bodies_are_valid(path: str, backend: str) -> None:
    check_bodies(document_of(create_app), registry, path)


def test_a_booking_is_one_time_slot(api: Api) -> None:
    """It refers to rows of the right collections."""
    schema, keys = api.by_label["POST /bookings"].body or {}, {"/api/v1/charge-points": 7, "/api/v1/vehicles": 8}
    body = Bodies(api.document, api.targets).generate(schema, refer=keys.__getitem__, start=START)
    assert (body["charge_point_id"], body["vehicle_id"]) == (7, 8)
    assert datetime.fromisoformat(body["end_time"]) - datetime.fromisoformat(body["start_time"]) == SLOT
    assert timedelta(minutes=5) <= SLOT <= timedelta(hours=24)


def test_texts_are_unique(api: Api) -> None:
    """A member with a default choice keeps the default."""
    bodies = Bodies(api.document, api.targets)
    schema = api.by_label["POST /charge-points"].body or {}
    generated = [bodies.generate(schema, refer=reference, start=START) for _ in range(500)]
    assert len({body["code"] for body in generated}) == 500
    assert {body["status"] for body in generated} == {"available"}


def test_a_required_reference_without_a_row_is_an_error(api: Api) -> None:
    """The message names the member."""
    schema = api.by_label["POST /books"].body or {}
    with pytest.raises(UnsupportedSchemaError, match="category_id"):
        Bodies(api.document, api.targets).generate(schema, refer=lambda _path: None, start=START)


def test_reads_weigh_more_than_writes_and_writes_more_than_account_operations(api: Api) -> None:
    """Sign-up weighs as little as login."""
    weights = [api.by_label[label].weight for label in ("POST /auth/login", "POST /books", "GET /books/{id}")]
    assert weights == sorted(set(weights))
    assert api.by_label["POST /users"].weight == weights[0]


def test_the_key_is_part_of_the_path(api: Api) -> None:
    """It is not part of the name."""
    operation = api.by_label["GET /charge-points/{id}"]
    assert operation.path_of(12) == "/api/v1/charge-points/12"
    assert (operation.name, operation.collection) == ("/charge-points/{id}", "/api/v1/charge-points")


def test_a_file_belongs_to_its_collection(api: Api) -> None:
    """A file has lines of JSON, each with the schema of a create."""
    imported, exported = api.by_label["POST /books/import"], api.by_label["GET /books/export"]
    assert (imported.collection, imported.takes_rows, imported.media_type) == (
        "/api/v1/books",
        True,
        "application/x-ndjson",
    )
    assert (exported.collection, exported.is_stream, exported.takes_row) == ("/api/v1/books", True, False)
    assert [operation.label for operation in api.operations if operation.is_stream and operation.body] == []
    assert imported.weight == exported.weight == api.by_label["POST /auth/login"].weight
