"""The product with one fault, to show that a load run fails.

`scripts/perf --factory perf.app.fault_injection_app:create_app` serves it.
"""

import os

from app.main import create_app as create_product
from perf.load.fault_injection import FaultInjector


def create_app() -> FaultInjector:
    """Return the application. Reads FAULT, such as `slow GET /books/1`, and the settings."""
    return FaultInjector(create_product(), os.environ["FAULT"])
