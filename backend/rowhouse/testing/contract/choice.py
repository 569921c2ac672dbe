"""Chooses the entities that each test of the contract suite runs over, when pytest collects the tests."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from rowhouse.cli.project import Project, find_project
from rowhouse.registration.registry import Registration
from rowhouse.testing.running_app import describe

TestT = TypeVar("TestT", bound=Callable[..., None])
Condition = Callable[[Registration], bool]
CHOICE = "rowhouse_choice"


@dataclass(frozen=True)
class Case:
    """One entity: the path of its registry and its own."""

    path: str
    name: str


def every_entity(*operations: str, where: Condition = lambda _registration: True) -> Callable[[TestT], TestT]:
    """Run a test over the entities that have these operations and satisfy a condition."""

    def mark(test: TestT) -> TestT:
        setattr(test, CHOICE, (frozenset(operations), where))
        return test

    return mark


def project_of(suite: Any, project: Project) -> Project:
    """Return the project that a suite is about."""
    app = getattr(suite, "app", None)
    return replace(project, app=app) if app else project


def registrations_of(directory: Path, app: str | None) -> Sequence[tuple[str, Registration]]:
    """Return the registrations of a project's application, each with its path."""
    project = find_project(directory)
    found = describe(replace(project, app=app) if app else project).registries
    return [(f"{registry.prefix}/{path}", one) for registry in found for path, one in registry.registrations.items()]


def cases_for(metafunc: pytest.Metafunc) -> list[Case]:
    """Return the entities for a test.

    Raises:
        pytest.UsageError: `leave_out` names a class that is not registered.
    """
    operations, where = getattr(metafunc.function, CHOICE, (frozenset(), lambda _registration: True))
    found = registrations_of(metafunc.config.rootpath, getattr(metafunc.cls, "app", None))
    leave_out = getattr(metafunc.cls, "leave_out", {})
    unknown = leave_out.keys() - {registration.resource.name for _, registration in found}
    if unknown:
        raise pytest.UsageError(f"leave_out names {', '.join(sorted(unknown))}, which no registry registers")
    return [
        Case(path, registration.resource.name)
        for path, registration in found
        if operations <= {*registration.operations}
        and registration.resource.name not in leave_out
        and where(registration)
    ]
