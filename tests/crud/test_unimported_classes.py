"""Table classes of a project that nothing imports."""

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from rowhouse.registration.unimported_classes import modules_of, unimported_classes
from tests.sample_entities.clinic.main import registry as clinic

CLASS = "class Poster(Entity, table=True):\n    title: str\n\n\nclass Base(SQLModel, table=False):\n    pass\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with one module that is imported, and classes in others."""
    package = tmp_path / "kiosk_of_posters"
    for file in ("api.py", "models.py", "posters/__init__.py", "posters/tests/models.py", "test_models.py"):
        path = package / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("" if file == "api.py" else CLASS, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import_module("kiosk_of_posters.api")
    yield package
    for name in [name for name in sys.modules if name.startswith("kiosk_of_posters")]:
        del sys.modules[name]


def found(*modules: str) -> list[str]:
    """Return the classes of the sentences."""
    return [sentence.partition(" has")[0] for sentence in unimported_classes(modules)]


@pytest.mark.usefixtures("project")
def test_the_whole_package_of_a_module_is_searched() -> None:
    """But not its tests."""
    assert found("kiosk_of_posters.api") == ["Poster (kiosk_of_posters.models)", "Poster (kiosk_of_posters.posters)"]


def test_installed_packages_are_not_searched(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their authors know which of their modules are imported."""
    installed = project.parent / "site-packages"
    installed.mkdir()
    project.rename(installed / project.name)
    monkeypatch.setattr(sys.modules[project.name], "__path__", [str(installed / project.name)])
    assert found("kiosk_of_posters.api") == []


def test_a_module_that_is_not_imported_has_no_folder() -> None:
    """It may be one that was made in memory."""
    assert found("never_imported") == []


def test_tests_are_no_project() -> None:
    """Their classes are declared where they are needed. Neither is the package itself, whose accounts they register."""
    assert {module.partition(".")[0] for module in modules_of([clinic])} == {"rowhouse", "tests"}
    assert [*unimported_classes(modules_of([clinic]))] == []
