"""The command `python -m perf.load`."""

import sys

from perf.load.command import main

if __name__ == "__main__":
    sys.exit(main())
