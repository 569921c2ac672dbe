"""A step that could never be taken stops the start, and the message says how to fix it."""

from collections.abc import Iterable
from enum import Enum, StrEnum
from typing import Annotated, Any

import pytest
from sqlmodel import Field, SQLModel

from rowhouse import READ_ONLY, SECRET, SIGNED_IN, IntegerKey, RegistrationError, Registry, Transition, role
from rowhouse.registration.build import build
from tests.crud.test_registration import Scratch, built, registered
from tests.crud.test_roles import SQLITE


class Phase(StrEnum):
    """The states of a project."""

    DRAFT = "draft"
    READY = "ready"


class Other(Enum):
    """The states of something else."""

    DRAFT = "draft"


class Project(IntegerKey, Scratch, table=True):
    """A class with state columns of many types."""

    status: Annotated[Phase, READ_ONLY] = Phase.DRAFT
    kind: Annotated[Other | None, READ_ONLY] = None
    is_public: Annotated[bool, READ_ONLY] = False
    level: Annotated[int, READ_ONLY] = Field(default=0, ge=0, le=9)
    word: Annotated[str, READ_ONLY] = Field(default="new", max_length=5)
    stage: Annotated[Phase, READ_ONLY]
    open_word: str = "new"
    pin: Annotated[str, SECRET] = "new"


FINISH = Transition("finish", (Phase.DRAFT,), Phase.READY)


def step(name: str = "finish", sources: Any = (Phase.DRAFT,), target: Any = Phase.READY, **words: Any) -> Any:
    """Return a valid step, with these changes."""
    return Transition(name, sources, target, **words)


@pytest.mark.parametrize(
    ("steps", "fix"),
    [
        (FINISH, "steps takes a tuple, steps=(FINISH,)"),
        (("finish",), "steps names 'finish', which is not a step; write Transition("),
        ((step("Finish"),), "step 'Finish': write the name as a verb in kebab-case, such as 'confirm' or 'check-in'"),
        ((step("mark_done"),), "in kebab-case"),
        ((step(7),), "in kebab-case"),  # type: ignore[arg-type]  # the very error
        *(
            ((step(name),), f"step '{name}': the name belongs to a generated operation; choose another verb")
            for name in ("batch", "export", "import", "restore", "history", "create", "update", "delete")
        ),
        ((FINISH, step("finish", (Phase.READY,))), "step 'finish': another step has the same name"),
        ((step(policy="admin"),), "step 'finish': policy='admin' is not a policy; write ANYONE, SIGNED_IN or role"),
        (
            (step(field="state"),),
            "there is no column 'state' for its state; name it with field='…': id, status",
        ),
        ((step(field="pin"),), "only steps change it; declare it Annotated[..., READ_ONLY]"),
        ((step(field="open_word"),), "only steps change it; declare it Annotated[..., READ_ONLY]"),
        ((step(sources=()),), "name at least one state to start from, in a tuple"),
        ((step(sources=Phase.DRAFT),), "name at least one state to start from, in a tuple"),
        ((step(sources="draft"),), "name at least one state to start from, in a tuple"),
        ((step(sources=("draft",)),), "'draft' is not a state of the column status; name a member of Phase"),
        ((step(target=Other.DRAFT),), "<Other.DRAFT: 'draft'> is not a state of the column status"),
        ((step(target=None),), "None is not a state of the column status"),
        ((step(sources=("too long",), target="new", field="word"),), "'too long' is not a state of the column word"),
        ((step(sources=(0,), target=10, field="level"),), "10 is not a state of the column level"),
        ((step(sources=("no",), target=True, field="is_public"),), "'no' is not a state of the column is_public"),
    ],
)
def test_a_step_that_cannot_be_taken_names_its_fix(steps: Any, fix: str) -> None:
    """With the class. Nothing is registered."""
    registry = Registry()
    with pytest.raises(RegistrationError) as caught:
        registry.register(Project, write=SIGNED_IN, steps=steps)
    assert str(caught.value).startswith("Project")
    assert fix in str(caught.value)
    assert registry.registrations == {}


def test_steps_without_a_get_are_refused() -> None:
    """No client would find a row for the step."""
    with pytest.raises(RegistrationError, match="steps show rows, and no operation reads them; add 'get' or 'list'"):
        Registry().register(Project, write=SIGNED_IN, operations=("create", "delete"), steps=(FINISH,))


def test_a_step_with_an_unknown_role_is_refused() -> None:
    """The message names the class and the step."""
    registry = registered(Project, write=SIGNED_IN, steps=(step(policy=role("staff")),))
    with pytest.raises(RegistrationError, match="Project, step finish: no account can have the role staff"):
        build([registry], SQLITE)


@pytest.mark.parametrize(
    "steps",
    [
        (FINISH, step("undo", (Phase.READY,), Phase.DRAFT)),
        (step("check-in", (None,), Other.DRAFT, field="kind"),),
        (step("begin", field="stage"),),
        (step("publish", (False,), True, field="is_public"),),
        (step("rise", range(9), 9, field="level"),),
        [step("rename", ["new"], "old", field="word")],
        (one for one in (FINISH,)),
    ],
)
def test_states_of_every_kind_have_routes(steps: Iterable[Any]) -> None:
    """An enum, a nullable one, a boolean, a number and a text. A read-only entity may have steps."""
    model: type[SQLModel] = Project
    registry = registered(model, write=SIGNED_IN, operations=("get",), steps=steps)
    names = [one.name for one in registry.registrations["projects"].resource.steps]
    paths = [route.path for route in built(registry).routes]
    assert paths[-len(names) :] == [f"/api/v1/projects/{{id}}/{name}" for name in names]
