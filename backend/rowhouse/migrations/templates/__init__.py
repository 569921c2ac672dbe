"""The files that Alembic needs in a project: `alembic.ini`, `alembic/env.py` and `alembic/script.py.mako`."""

from importlib.resources import files
from pathlib import Path

PLACES = {
    "alembic.ini.txt": "alembic.ini",
    "env.py.txt": "alembic/env.py",
    "script.py.mako": "alembic/script.py.mako",
}


def create_missing(directory: Path, *, module: str, source: str = ".") -> list[str]:
    """Create the files that a project lacks. Return their paths.

    `module` is imported by `env.py` and imports every model; `source` is the folder that Python imports from.
    """
    (directory / "alembic/versions").mkdir(parents=True, exist_ok=True)
    created = []
    for template, place in PLACES.items():
        path = directory / place
        if not path.exists():
            text = files(__package__).joinpath(template).read_text("utf-8")
            path.write_text(text.replace("{module}", module).replace("{source}", source), "utf-8")
            created.append(place)
    return created
