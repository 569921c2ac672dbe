"""Registers new classes in the project's own registry, as a trial: the last check before they are written.

`rowhouse.cli.adopt.command` runs it in a process of its own, because a class cannot be declared twice in one. Reads the
classes as JSON from standard input, and writes what was refused, and why, to the file that it names. Writes nothing
else, and opens no database.
"""

import json
import re
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from rowhouse.cli.project import find_project
from rowhouse.cli.serve import explained
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine, disposing
from rowhouse.migrations.engine_tables import ENGINE_TABLES
from rowhouse.registration.build import build
from rowhouse.registration.mappers import configure_mappers
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError

ACCOUNTS = (
    "Rowhouse has a table of this name for its accounts, and its history knows no schemas; to adopt it all the same, "
    "take include_accounts(registry) out of {}"
)
PLACE = re.compile(r"(\w+)(?:\.(\w+))?[: ,]")


def main() -> int:
    """Declare and register each class. Return 0 also if some are refused."""
    given = json.load(sys.stdin)
    project = find_project()
    project.make_importable()
    api = import_module(given["api"])
    module = _module(given["models"])
    exec(given["imports"], vars(module))  # noqa: S102  # nosec B102  written by `rowhouse.cli.adopt.classes`
    refused: dict[str, str] = {}
    for name, code in given["classes"].items():
        try:
            exec(code, vars(module))  # noqa: S102  # nosec B102  as above
            _register(api, vars(module)[name], given["options"][name])
        except Exception as error:  # noqa: BLE001  a class that cannot be declared may raise anything
            refused.setdefault(name, _sentence(error))
    refused = {name: said for name, said in refused.items() if "is not defined" not in said} or refused
    if not refused:
        refused = _named_as_accounts(api)
    if not refused:
        refused = _built(api.registry, given["url"], given["classes"])
    Path(given["answer"]).write_text(json.dumps(refused), "utf-8")
    return 0


def _module(name: str) -> ModuleType:
    """Return the module of the project's classes, or an empty one of its name."""
    if find_spec(name) is not None:
        return import_module(name)
    module = sys.modules[name] = ModuleType(name)
    return module


def _register(api: ModuleType, model: Any, options: str) -> None:
    names = vars(import_module("rowhouse"))
    api.registry.register(model, **eval(f"dict({options})", dict(names)))  # noqa: S307  # nosec B307  our own options


def _named_as_accounts(api: ModuleType) -> dict[str, str]:
    """Refuse the classes whose table has the name of a registered one of Rowhouse in another schema."""
    found = [(one.resource.name, one.resource.table) for one in api.registry.registrations.values()]
    own = {table.name for _, table in found if table.schema is None} & {*ENGINE_TABLES}
    said = ACCOUNTS.format(Path(str(api.__file__)).name)
    return {name: said for name, table in found if table.schema is not None and table.name in own}


def _built(registry: Registry, url: str, classes: dict[str, str]) -> dict[str, str]:
    """Return the class that the whole registry refuses. An empty name stands for the registry itself."""
    with disposing(create_engine(Settings(database_url=url))) as engine:
        try:
            configure_mappers([registry])
            build([registry], engine.dialect)
        except Exception as error:  # noqa: BLE001  as above
            said = _sentence(error)
            names = [name for name in re.findall(r"\w+", said) if name in classes]
            return {names[-1] if " and " in said.partition(" have ")[0] and names else (names or [""])[0]: said}
    return {}


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, RegistrationError) else explained(error).strip().partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
