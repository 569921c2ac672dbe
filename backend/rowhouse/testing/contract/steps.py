"""Promises about the steps of a registration line: their states, versions and safe retries."""

from collections.abc import Iterator
from typing import Any

from pydantic_core import to_jsonable_python

from rowhouse.crud.base import CRUDBase
from rowhouse.entities.transition import Transition
from rowhouse.registration.registry import Registration
from rowhouse.testing.accounts import Headers
from rowhouse.testing.bodies.maker import Row
from rowhouse.testing.contract.choice import every_entity
from rowhouse.testing.contract.entity import NOBODY, EntityClient
from rowhouse.testing.contract.responses import problem


def steps(registration: Registration) -> bool:
    """Return whether the line declares steps, and no rule of its own says whose rows they are for."""
    is_plain = registration.crud.writable is CRUDBase.writable
    return bool(registration.resource.steps) and is_plain


def is_ruled(registration: Registration, step: Transition[Any]) -> bool:
    """Return whether a rule of the project may refuse a step from one of its states."""
    return step.check is not None or registration.crud is not CRUDBase


def each_step(entity: EntityClient) -> Iterator[tuple[Transition[Any], Headers, Row]]:
    """Yield each step with an account that may take it, and a new row."""
    for step in entity.resource.steps:
        yield step, entity.running.factory.account_for(step.policy or entity.resource.write), entity.make()


def starts_from(step: Transition[Any], row: Row) -> bool:
    """Return whether the state of a row is one of those that a step starts from."""
    return row[step.field] in to_jsonable_python([*step.sources])


class StepPromises:
    """Steps of one row."""

    @every_entity("get", where=steps)
    def test_a_step_leads_on_from_its_states_only(self, contract_entity: EntityClient) -> None:
        """From the state of a new row it is taken, or refused by a rule; from another it is 409 and changes nothing."""
        entity = contract_entity
        for step, caller, new in each_step(entity):
            row, path = entity.stored(new), f"{entity.row_path(new)}/{step.name}"
            answer = entity.call("POST", path, caller)
            if not starts_from(step, row):
                problem(answer, 409, "transition_refused")
                assert entity.stored(row) == row
            elif answer.is_client_error and is_ruled(entity.registration, step):
                assert entity.stored(row) == row
            else:
                taken = entity.shown(answer)
                assert taken[step.field] == to_jsonable_python(step.target)
                assert answer.headers["etag"] == entity.call("GET", entity.row_path(row)).headers["etag"]
                assert entity.stored(row) == taken

    @every_entity("get", where=steps)
    def test_a_step_honours_versions_and_keys(self, contract_entity: EntityClient) -> None:
        """A stale `If-Match` is 412; a retry gets the stored answer; nobody is 401 unless anyone may take the step."""
        entity = contract_entity
        for step, caller, row in each_step(entity):
            path = f"{entity.row_path(row)}/{step.name}"
            problem(entity.call("POST", path, caller, extra={"If-Match": '"stale"'}), 412, "stale")
            nobody = entity.call("POST", path, NOBODY, extra={"If-Match": '"stale"'})
            assert nobody.status_code == (412 if (step.policy or entity.resource.write).anyone else 401)
            key = {"Idempotency-Key": f"contract-{entity.name}-{entity.bodies.next_number()}"}
            first, again = (entity.call("POST", path, caller, extra=key) for _ in range(2))
            assert (again.status_code, again.content) == (first.status_code, first.content)
            assert ("idempotent-replayed" in again.headers) == first.is_success
