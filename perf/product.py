"""Find the benchmarks of the product in `perf.app`. The rest of `perf` works without that package."""

import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

PACKAGE = "perf.app"
# The environment variable that names the profile to the processes of a run.
PROFILE_VARIABLE = "LOAD_PROFILE"


def is_there() -> bool:
    """Return whether this checkout has benchmarks of a product."""
    return find_spec(PACKAGE) is not None


def default_profile() -> str:
    """Return the name of the product's profile; empty in a checkout without a product."""
    return f"{PACKAGE}.profile:PROFILE" if is_there() else ""


def run(module: str) -> None:
    """Run a benchmark of the product, such as `micro.burst`, and exit with its status."""
    if not is_there():
        sys.exit(f"{PACKAGE}.{module} is missing: this benchmark measures the product, and {PACKAGE} was removed.")
    main: Callable[[], int | None] = import_module(f"{PACKAGE}.{module}").main
    sys.exit(main())
