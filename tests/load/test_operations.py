"""Every operation of a document becomes a task, or is an error."""

from collections import Counter
from typing import Any

import pytest

from rowhouse.load.operations import Api, OperationShuffle, UncallableOperationError
from tests.openapi_documents import document_of
from tests.sample_entities.application import create_odd_app
from tests.sample_entities.odd.registry import registry

ITEM, LIST = "/api/v1/things/{id}", "/api/v1/things"


def described(*, success: str = "200", media_type: str | None = None) -> dict[str, Any]:
    """Return an operation of a document."""
    body = {"requestBody": {"content": {media_type: {"schema": {"type": "object"}}}}} if media_type else {}
    return {"operationId": "thing", "responses": {success: {}}, **body}


def test_every_operation_of_the_document_is_a_task() -> None:
    """There are no other tasks."""
    document = document_of(create_odd_app)
    documented = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, item in document["paths"].items()
        for method in item
    }
    tasks = Counter(operation.label for operation in Api(document).weighted())
    assert set(tasks) == documented
    assert all(tasks.values())


def test_every_registered_operation_is_a_task() -> None:
    labels = {operation.label for operation in Api(document_of(create_odd_app)).operations}
    registered = registry.registrations
    assert {f"GET /{path}" for path in registered} <= labels
    deletable = {path for path, registration in registered.items() if "delete" in registration.operations}
    assert {f"DELETE /{path}/{{id}}" for path in deletable} <= labels


def test_a_shuffle_returns_every_operation_as_often_as_its_weight() -> None:
    """Every round does, in another order."""
    api = Api(document_of(create_odd_app))
    shuffle, rounds = OperationShuffle(api), []
    for _ in range(2):
        rounds.append([shuffle.next().label for _ in list(api.weighted())])
        for operation in api.operations:
            assert rounds[-1].count(operation.label) == operation.weight
    assert rounds[0] != rounds[1]


def test_the_step_before_another_is_found_from_its_states() -> None:
    """The shortest way from the initial state; a step that no way leads to is called as it is."""

    def step(name: str, sources: list[str], target: str, **more: str) -> tuple[str, Any]:
        states = {"field": "status", "from": sources, "to": target, **more}
        return f"{ITEM}/{name}", {"post": {**described(), "x-transition": states}}

    new = {"initial": "new"}
    paths = dict(
        [
            (LIST, {"get": described(), "post": described(success="201")}),
            step("open", ["new"], "open", **new),
            step("hold", ["open"], "held", **new),
            step("close", ["open", "held"], "closed", **new),
            step("bury", ["closed"], "buried", **new),
            step("wake", ["asleep"], "new", **new),
            step("guess", ["buried"], "guessed"),
        ]
    )
    api = Api({"paths": paths})
    found = {operation.path.rpartition("/")[2]: api.previous_step(operation) for operation in api.operations}
    previous = {name: step.path.rpartition("/")[2] for name, step in found.items() if step is not None}
    assert previous == {"hold": "open", "close": "open", "bury": "close"}


def test_what_a_member_refers_to_is_found_from_what_expand_shows() -> None:
    """`stock` is a thing, so `stock_id` is the key of one, though no operation is called `get_stock`."""
    thing = "#/components/schemas/ThingPublic"
    read = {**described(), "operationId": "get_thing"}
    read["responses"] = {"200": {"content": {"application/json": {"schema": {"$ref": thing}}}}}
    members = {"stock": {"anyOf": [{"$ref": thing}]}, "stock_id": {"type": "integer"}, "maker": {"anyOf": [{}]}}
    schemas = {"PartPartial": {"properties": members}, "ThingPublic": {"type": "object"}}
    paths = {LIST: {"get": described()}, ITEM: {"get": read}}
    api = Api({"paths": paths, "components": {"schemas": schemas}})
    assert api.targets == {"thing_id": LIST, "stock_id": LIST}


@pytest.mark.parametrize(
    ("role", "roles"),
    [({"enum": ["user", "driver"]}, ("user", "driver")), ({"const": "user"}, ("user",)), ({}, ())],
)
def test_the_roles_at_sign_up_are_those_of_the_document(role: dict[str, Any], roles: tuple[str, ...]) -> None:
    body = {"type": "object", "properties": {"role": role}}
    sign_up = described(success="201")
    sign_up["requestBody"] = {"content": {"application/json": {"schema": body}}}
    assert (
        Api({"paths": {"/shop/users": {"post": sign_up}, "/shop/auth/login": {"post": described()}}}).sign_up_roles
        == roles
    )


def test_the_prefix_is_that_of_the_login() -> None:
    """Without accounts there is no login and no role."""
    api = Api({"paths": {"/shop/v2/things": {"get": described()}, "/shop/v2/auth/login": {"post": described()}}})
    assert (api.prefix, [operation.label for operation in api.operations]) == (
        "/shop/v2",
        ["GET /things", "POST /auth/login"],
    )
    api = Api({"paths": {LIST: {"get": described()}}})
    assert (api.prefix, api.has_accounts, api.sign_up_roles) == ("/api/v1", False, ())


@pytest.mark.parametrize(
    ("paths", "message"),
    [
        ({}, "no operations"),
        ({ITEM: {"get": described()}}, "GET /things/{id}: no operation lists or creates rows of /api/v1/things"),
        ({LIST: {"get": described()}, ITEM: {"delete": described()}}, "DELETE /things/{id}: no operation creates rows"),
        ({LIST: {"post": described()}, f"{ITEM}/restore": {"post": described()}}, "restore: no operation deletes rows"),
        ({LIST: {"get": described()}, f"{ITEM}/restore": {"post": described()}}, "restore: no operation creates rows"),
        ({"/api/v1/things/{id}/parts/{part_id}": {"get": described()}}, "more than one parameter"),
        ({LIST: {"post": described(media_type="text/csv")}}, "POST /things: takes text/csv"),
        (
            {f"{LIST}/import": {"post": described(media_type="application/x-ndjson")}},
            "takes rows of /api/v1/things, and no",
        ),
        ({LIST: {"get": described(success="404")}}, "GET /things: documents no answer of success"),
        *(
            ({LIST: {"get": {**described(), "x-slo-ms": bound}}}, "GET /things: x-slo-ms must be a whole number")
            for bound in (0, -1, "fast", 1.5)
        ),
    ],
)
def test_an_operation_that_cannot_be_called_is_an_error(paths: dict[str, Any], message: str) -> None:
    """The message names it and the reason."""
    with pytest.raises(UncallableOperationError) as caught:
        Api({"paths": paths})
    assert message in str(caught.value)


def test_an_operation_is_left_out_by_its_name() -> None:
    """Also one that the load does not understand. A name that no operation has is refused."""
    paths = {LIST: {"get": described(), "post": described(media_type="text/csv")}}
    api = Api({"paths": paths}, leave_out={"POST /things": "only a till sends it"})
    assert [operation.label for operation in api.operations] == ["GET /things"]
    assert api.create_of(LIST) is None
    with pytest.raises(UncallableOperationError, match="leave_out names GET /thing, and there is no such operation"):
        Api({"paths": paths}, leave_out=("POST /things", "GET /thing"))
