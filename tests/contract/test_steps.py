"""The steps of every entity that has steps (docs/contract.md §2)."""

from enum import Enum
from typing import Any

from rowhouse.registration.registry import Registration
from tests.contract.entity_client import EntityClient
from tests.contract.problems import problem
from tests.contract.registrations import every_entity


def has_steps(registration: Registration) -> bool:
    """Return True if the line declares a step."""
    return bool(registration.resource.steps)


def written(state: Any) -> Any:
    """Return a state as JSON has it."""
    return state.value if isinstance(state, Enum) else state


@every_entity("create", "get", where=has_steps)
def test_a_step_is_taken_from_its_states_only(entity: EntityClient) -> None:
    """From the state of a new row it is taken, or rejected by its own check. From another state it is 409."""
    for step in entity.resource.steps:
        row = entity.make()
        answer = entity.call("POST", f"/{row['id']}/{step.name}")
        if row[step.field] not in [written(state) for state in step.sources]:
            problem(answer, 409, "transition_refused")
        elif answer.status_code == 200:
            assert answer.json() == {**row, step.field: written(step.target), "updated_at": answer.json()["updated_at"]}
        else:
            assert step.check is not None, answer.text
            problem(answer, answer.status_code)
        assert entity.stored(row) == (answer.json() if answer.is_success else row)


@every_entity("create", "get", where=has_steps)
def test_a_step_respects_versions_and_keys(entity: EntityClient) -> None:
    """A stale version is 412, a missing row 404, and a caller without an account 401 unless anyone may take it."""
    for step in entity.resource.steps:
        row = entity.make()
        path = f"/{row['id']}/{step.name}"
        problem(entity.call("POST", path, extra={"If-Match": '"0"'}), 412, "stale")
        problem(entity.call("POST", path, extra={"Idempotency-Key": "a b"}), 422, "invalid_input")
        if not (step.policy or entity.resource.write).anyone:
            problem(entity.call("POST", path, {}), 401, "not_authenticated")
        assert entity.stored(row) == row
