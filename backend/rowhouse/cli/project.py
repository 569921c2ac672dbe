"""Finds the project in the working directory, and loads its application, for a command.

    [tool.rowhouse]
    app = "app.main:create_app"   # module:factory, or module:application
    source = "backend"            # the folder that Python imports from

`ROWHOUSE_APP` in the environment replaces `app`; server processes get it from `rowhouse run --app`. Must not import the
application before it is asked for.
"""

import os
import sys
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fastapi import FastAPI

APP = "app.main:create_app"
VARIABLE = "ROWHOUSE_APP"


class NoProjectError(ValueError):
    """The folder holds no project. The message says what to do."""


@dataclass(frozen=True)
class Project:
    """A project's folder and the settings in its `[tool.rowhouse]`."""

    directory: Path
    app: str = APP
    source: str = "."

    @property
    def module(self) -> str:
        """The module that holds the application."""
        return self.app.partition(":")[0]

    def make_importable(self) -> None:
        """Let Python import from the project's source folder."""
        folder = str((self.directory / self.source).resolve())
        if folder not in sys.path:
            sys.path.insert(0, folder)


def find_project(directory: Path | None = None) -> Project:
    """Read the project in `directory`, by default the working directory.

    Raises:
        ValueError: `[tool.rowhouse]` of pyproject.toml has an unknown setting or a value that is no text.
    """
    directory = directory or Path.cwd()
    file = directory / "pyproject.toml"
    said: dict[str, Any] = tomllib.loads(file.read_text("utf-8")) if file.is_file() else {}
    found = said.get("tool", {}).get("rowhouse", {})
    for name, value in found.items():
        if name not in ("app", "source") or not isinstance(value, str):
            raise ValueError(f"[tool.rowhouse] {name} = {value!r}: write app and source, each a text")
    app = os.environ.get(VARIABLE) or found.get("app", APP)
    return Project(directory, **{**found, "app": app})


def load_application(project: Project) -> FastAPI:
    """Import the project's application, or build it with its factory.

    Raises:
        ModuleNotFoundError: there is no such module.
        NoProjectError: neither is there a pyproject.toml.
        ValueError: the module has no such name, it is neither an application nor a factory, or Python finds another
            module of that name first.
    """
    name = project.app.partition(":")[2] or "app"
    project.make_importable()
    try:
        module = import_module(project.module)
    except ModuleNotFoundError as error:
        is_own = f"{project.module}.".startswith(f"{error.name}.")
        if not is_own or (project.directory / "pyproject.toml").is_file():
            raise
        raise NoProjectError(
            f"There is no pyproject.toml here, and no module {project.module}: run this in the folder of a project."
        ) from error
    _require_own(project, module.__file__)
    found = getattr(module, name, None)
    made = found if isinstance(found, FastAPI) else found() if callable(found) else None
    if not isinstance(made, FastAPI):
        raise ValueError(  # noqa: TRY004  the setting is wrong
            f"{project.app} is neither an application nor a function that returns one; write module:factory"
        )
    return made


def require_own_module(project: Project) -> None:
    """Require that Python finds the project's own module, if the project has one, without importing it.

    Raises:
        ValueError: it finds another module of that name first.
    """
    project.make_importable()
    with suppress(ModuleNotFoundError):
        found = find_spec(project.module)
        _require_own(project, found.origin if found else None)


def _require_own(project: Project, file: str | None) -> None:
    """Require that a module which the project has was not found elsewhere."""
    source = (project.directory / project.source).resolve()
    own = source / project.module.replace(".", "/")
    is_there = own.with_suffix(".py").is_file() or (own / "__init__.py").is_file()
    if is_there and file and not Path(file).resolve().is_relative_to(source):
        raise ValueError(
            f"Python finds {project.module} in {file} and not in {source}; take the other one out of "
            f"PYTHONPATH, or put an __init__.py into {source / project.module.partition('.')[0]}"
        )
