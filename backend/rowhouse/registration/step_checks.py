"""Checks of the steps of a registration line at start-up. Each error says how to fix the line."""

import re
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from pydantic import TypeAdapter, ValidationError
from sqlmodel import SQLModel

from rowhouse.core.policy import Policy
from rowhouse.entities.model import Mark
from rowhouse.entities.transition import Transition
from rowhouse.registration.router import OPERATIONS
from rowhouse.schemas.columns import Column, RegistrationError

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
# The last segments of other generated paths, and the verbs of other operation ids.
TAKEN = frozenset({*OPERATIONS, "aggregate", "batch", "deleted", "export", "history", "import", "restore"})
EXAMPLE = 'Transition("confirm", (Status.PENDING,), Status.CONFIRMED)'


def check_steps(
    model: type[SQLModel],
    columns: Mapping[str, Column],
    steps: Iterable[Transition[Any]],
    operations: tuple[str, ...],
) -> tuple[Transition[Any], ...]:
    """Return the steps as a tuple. Require that each step can be taken, and that clients can find a row for it."""
    given: Any = steps
    if isinstance(given, Transition):
        raise RegistrationError(f"{model.__name__}: steps takes a tuple, steps=({given.name.upper()},)")
    found = tuple(steps)
    names: list[str] = []
    for step in found:
        if not isinstance(step, Transition):
            raise RegistrationError(f"{model.__name__}: steps names {step!r}, which is not a step; write {EXAMPLE}")
        place = f"{model.__name__}, step {step.name!r}"
        _check_name(place, step.name, names)
        _check_policy(place, step.policy)
        _check_field(place, columns, step.field)
        _check_states(place, columns[step.field], step)
        names.append(step.name)
    if found and not {"get", "list"} & set(operations):
        raise RegistrationError(
            f"{model.__name__}: steps show rows, and no operation reads them; "
            "add 'get' or 'list' to operations, or leave out steps"
        )
    return found


def _check_name(place: str, name: object, others: list[str]) -> None:
    """Require a name for a URL and an operation id that nothing else has."""
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise RegistrationError(f"{place}: write the name as a verb in kebab-case, such as 'confirm' or 'check-in'")
    if name in TAKEN:
        raise RegistrationError(f"{place}: the name belongs to a generated operation; choose another verb")
    if name in others:
        raise RegistrationError(f"{place}: another step has the same name; give one of them another")


def _check_policy(place: str, policy: object) -> None:
    if policy is not None and not isinstance(policy, Policy):
        raise RegistrationError(
            f"{place}: policy={policy!r} is not a policy; write ANYONE, SIGNED_IN or role(...), or leave it out"
        )


def _check_field(place: str, columns: Mapping[str, Column], field: str) -> None:
    """Require a visible column that only steps change."""
    column = columns.get(field)
    if column is None:
        raise RegistrationError(
            f"{place}: there is no column {field!r} for its state; name it with field='…': {', '.join(columns)}"
        )
    if Mark.READ_ONLY not in column.marks or not column.is_public:
        raise RegistrationError(
            f"{place}: clients see the state {field}, and only steps change it; declare it Annotated[..., READ_ONLY]"
        )


def _check_states(place: str, column: Column, step: Transition[Any]) -> None:
    """Require states that the column can have."""
    if isinstance(step.sources, str | Enum) or not step.sources:
        raise RegistrationError(f"{place}: name at least one state to start from, in a tuple: {EXAMPLE}")
    for state in (*step.sources, step.target):
        if not _is_value(column, state):
            base = column.base
            kind = f"a member of {base.__name__}" if _is_enum(base) else f"a value of {column.annotation}"
            raise RegistrationError(f"{place}: {state!r} is not a state of the column {column.name}; name {kind}")


def _is_enum(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Enum)


def _is_value(column: Column, state: Any) -> bool:
    if state is None:
        return column.nullable
    if _is_enum(column.base):
        return isinstance(state, column.base)
    try:
        return bool(TypeAdapter(column.annotation).validate_python(state) == state)
    except ValidationError:
        return False
