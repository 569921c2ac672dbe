"""Check every migration with squawk, the engine's too: `rowhouse lint-migrations --engine`."""

import sys

from rowhouse.cli.lint_migrations import main

if __name__ == "__main__":
    sys.exit(main(["--engine", *sys.argv[1:]]))
