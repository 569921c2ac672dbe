"""The files that Alembic needs in a project: `alembic.ini`, `alembic/env.py` and `alembic/script.py.mako`."""

from importlib.resources import files
from pathlib import Path

TEMPLATE = "alembic/script.py.mako"
PLACES = {"alembic.ini.txt": "alembic.ini", "env.py.txt": "alembic/env.py", "script.py.mako": TEMPLATE}


def create_missing(directory: Path, *, module: str, source: str = ".", template: bool = True) -> list[str]:
    """Create the files that a project lacks. Return their paths.

    `module` is imported by `env.py` and imports every model; `source` is the folder that Python imports from. Without
    `template`, the template of migrations is left to `create_template`.
    """
    (directory / "alembic/versions").mkdir(parents=True, exist_ok=True)
    created = []
    for name, place in PLACES.items():
        path = directory / place
        if not path.exists() and (template or place != TEMPLATE):
            path.write_text(_text(name).replace("{module}", module).replace("{source}", source), "utf-8")
            created.append(place)
    return created


def create_template(directory: Path) -> bool:
    """Create the template of migrations in Alembic's folder if it is missing. Return whether it was."""
    path = directory / Path(TEMPLATE).name
    if path.exists():
        return False
    path.write_text(_text(path.name), "utf-8")
    return True


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")
