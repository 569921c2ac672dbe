"""Loads the project of the working directory, then writes and applies its migration: the last step of a new entity.

`rowhouse.cli.scaffold.entity` runs it in a process of its own, because Python cannot load changed modules again.
`rowhouse.cli.adopt.command` runs it with the word `load`: adopted tables have no migration.
"""

import sys

from pydantic import ValidationError

from rowhouse.cli import migrate
from rowhouse.cli.errors import CommandError
from rowhouse.cli.reports.loading import load
from rowhouse.cli.serve import explained
from rowhouse.core.settings import Environment, Settings


def main(*, migrates: bool) -> int:
    """Load and migrate. Return the exit status."""
    try:
        if migrates and Settings().environment is not Environment.DEVELOPMENT:
            print("Migrations are written in development only; ENVIRONMENT is another.", file=sys.stderr)
            return 1
        load()
    except ValidationError as error:
        print(explained(error), file=sys.stderr)
        return 1
    except CommandError as error:
        print(f"The application cannot be loaded. {error}", file=sys.stderr)
        return 1
    return migrate.run(["--start"]) if migrates else 0


if __name__ == "__main__":
    sys.exit(main(migrates="load" not in sys.argv))
