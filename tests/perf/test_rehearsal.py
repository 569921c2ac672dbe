"""A visitor calls every operation of a running application, and the rehearsal says so where it cannot."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient

from perf.load.accounts import Account, Answer, Request, sender
from perf.load.operations import Api, UncallableOperationError
from perf.load.dry_run import rehearse
from perf.load.virtual_user import ADMIN, DRIVER, NOBODY, USER, Plan, Visitor
from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.fast_hashing import cheapen

# What a load run asks for is the same on both databases.
BOTH = pytest.mark.parametrize(("backend", "house"), [("sqlite", "product"), ("postgresql", "odd")], indirect=True)
PRODUCT = pytest.mark.parametrize(("backend", "house"), [("sqlite", "product")], indirect=True)


@pytest.fixture(scope="module", autouse=True)
def _cheap_hashes() -> Iterator[None]:
    """Hashes of few rounds: the visitor signs in for every operation that an account is needed for."""
    with pytest.MonkeyPatch.context() as patch:
        cheapen(patch)
        yield


def administrator() -> Account:
    """The administrator, not signed in yet."""
    return Account(email=ADMIN_EMAIL, password=ADMIN_PASSWORD)


def document(client: TestClient) -> Any:
    """What the application says of itself, but for the entity whose text column is a reference: OpenAPI cannot say so."""
    found = client.get("/openapi.json").json()
    found["paths"] = {path: item for path, item in found["paths"].items() if "/stations" not in path}
    return found


class Notebook:
    """Carries requests and notes which got a right answer, and which a wrong one."""

    def __init__(self, client: TestClient) -> None:
        self._send = sender(client)
        self.right: set[str] = set()
        self.wrong: list[str] = []

    def __call__(self, request: Request) -> Answer:
        """Carry one."""
        answer = self._send(request)
        complaint = request.complaint(answer)
        if complaint is None:
            self.right.add(f"{request.method} {request.name}")
        else:
            self.wrong.append(f"{request.method} {request.name}: {complaint}")
        return answer


@dataclass(frozen=True)
class Rehearsed:
    """An application after its rehearsal."""

    client: TestClient
    api: Api
    caller: Account
    plan: Plan


@pytest.fixture(scope="module")
def rehearsed(house: TestClient) -> Rehearsed:
    """The product or the odd entities."""
    api, caller = Api(document(house)), administrator()
    return Rehearsed(house, api, caller, rehearse(api, send=sender(house), administrator=caller))


@BOTH
def test_after_the_rehearsal_every_operation_is_called_without_a_wrong_answer(rehearsed: Rehearsed) -> None:
    """Also for entities that the load test has never seen, on rows of the visitor's own, backwards as in no good order."""
    load = Notebook(rehearsed.client)
    visitor = Visitor(rehearsed.api, rehearsed.plan, send=load, administrator=rehearsed.caller)
    for operation in reversed(rehearsed.api.operations):
        visitor.call(operation)
    assert load.wrong == []
    assert load.right == set(rehearsed.api.by_label)


@PRODUCT
def test_an_operation_is_called_in_the_least_role(rehearsed: Rehearsed) -> None:
    """Except that who lists owned rows has some."""
    roles = rehearsed.plan.roles
    assert roles["GET /books/{id}"] == NOBODY
    assert roles["POST /bookings"] == roles["GET /bookings"] == DRIVER
    assert roles["POST /books"] == roles["DELETE /bookings/{id}"] == ADMIN
    assert roles["POST /orders"] == roles["POST /orders/{id}/cancel"] == USER
    assert roles["POST /orders/{id}/ship"] == roles["POST /books/{id}/stock"] == ADMIN
    assert rehearsed.plan.paired == {"/api/v1/reviews"}


def test_a_wrong_path_in_the_document_is_an_error(client: TestClient) -> None:
    """Only the operations of that path are complained about."""
    wrong = document(client)
    mine = wrong["paths"].pop("/api/v1/users/me")
    wrong["paths"] = {"/api/v1/users/mine": mine, "/api/v1/users": wrong["paths"]["/api/v1/users"]}
    with pytest.raises(UncallableOperationError) as caught:
        rehearse(Api(wrong), send=sender(client), administrator=administrator())
    complaints = {line.partition(":")[0] for line in str(caught.value).splitlines()}
    assert complaints == {"GET /users/mine", "PATCH /users/mine"}


def test_an_administrator_who_cannot_sign_in_is_an_error(client: TestClient) -> None:
    """One login is tried, not one an operation."""
    notebook = Notebook(client)
    with pytest.raises(UncallableOperationError, match="ADMIN_PASSWORD"):
        rehearse(Api(document(client)), send=notebook, administrator=Account(email=ADMIN_EMAIL, password="not-it"))
    assert notebook.right == set()
    assert len(notebook.wrong) == 1
