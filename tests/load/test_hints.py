"""What the tables of a project say about bodies."""

from pathlib import Path
from typing import Annotated

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import registry as mappers
from sqlmodel import Field, SQLModel

from rowhouse import CREATE_ONLY, SIGNED_IN, Registry
from rowhouse.entities.no_overlap import rules_of
from rowhouse.load.hints import hints_of, project_hints
from tests.sample_entities.clinic.main import registry as clinic
from tests.sample_entities.metadata import new_metadata
from tests.sample_entities.odd.registry import registry

metadata = new_metadata()


def test_every_entity_has_hints_for_each_of_its_bodies() -> None:
    """The collection of a reference, and the code of a conflict that another client can cause, are among them."""
    hints = hints_of([registry])
    for registration in registry.registrations.values():
        resource = registration.resource
        for name in (f"{resource.name}Create", f"{resource.name}Update", f"{resource.name}BatchUpdate"):
            assert hints[name].name == resource.name
        codes = {rule.error.code for rule in rules_of(resource.table)}
        assert hints[f"{resource.name}Create"].conflicts == codes
    paths = {f"/api/v1/{path}" for path in registry.registrations}
    targets = {path for hint in hints.values() for path in hint.targets.values()}
    assert targets >= {None}  # a station refers to the code of another one
    assert targets - {None} <= paths


def test_a_change_names_no_member_that_is_unique_together_with_what_only_a_new_row_sets() -> None:
    """The position of a line is unique on its invoice, which stays: two lines of one invoice would get one position."""
    hints = hints_of([clinic])
    changes = {name: hints[f"InvoiceLine{name}"].fixed for name in ("Create", "Update", "BatchUpdate")}
    assert changes == {
        "Create": frozenset(),
        "Update": {"invoice_id", "position"},
        "BatchUpdate": {"invoice_id", "position"},
    }
    assert hints["PetUpdate"].fixed == frozenset()


class Stored(SQLModel, registry=mappers(metadata=metadata)):
    """The base of these classes."""


class Rack(Stored, table=True):
    """A rack."""

    id: int | None = Field(default=None, primary_key=True)
    name: str


class Box(Stored, table=True):
    """A box whose key the client chooses. Its place is unique in its rack."""

    __table_args__ = (sa.UniqueConstraint("rack_id", "place"),)
    code: str = Field(primary_key=True)
    rack_id: Annotated[int, CREATE_ONLY] = Field(foreign_key="rack.id")
    place: int
    label: str


def test_a_put_of_a_row_names_no_such_member_either() -> None:
    """It changes a row that exists, and the members that it leaves out stay."""
    boxes = Registry()
    boxes.register(Rack, write=SIGNED_IN)
    boxes.register(Box, write=SIGNED_IN)
    assert hints_of([boxes])["BoxPut"].fixed == {"rack_id", "place"}


@pytest.mark.parametrize(
    ("module", "warning"),
    [
        ("import absent_module", "the OpenAPI document alone"),
        ("from fastapi import FastAPI\napp = FastAPI()", ""),
        ("from rowhouse import Registry, create_app\napp = create_app(Registry())", ""),
    ],
)
def test_a_project_without_entities_has_no_hints(
    module: str, warning: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """If the application cannot be imported here, the log says so: the server may run elsewhere."""
    name = f"loaded{abs(hash(module))}"
    (tmp_path / f"{name}.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROWHOUSE_APP", f"{name}:app")
    assert project_hints() == {}
    assert warning in caplog.text
