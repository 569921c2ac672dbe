"""Every operation that a file of `rowhouse migrate` may use is there wherever a project's `env.py` runs."""

import subprocess
import sys

# What `env.py` imports has registered everything, if the other modules of migrations add nothing.
PROGRAM = """
import importlib, pkgutil
import rowhouse.migrations.environment
from alembic.operations import BatchOperations, Operations
there = {*dir(Operations), *dir(BatchOperations)}
import rowhouse.migrations
for found in pkgutil.walk_packages(rowhouse.migrations.__path__, "rowhouse.migrations."):
    if ".versions" not in found.name:
        importlib.import_module(found.name)
from rowhouse.migrations.operations.operation import EngineOperation
print(len(EngineOperation.__subclasses__()), sorted({*dir(Operations), *dir(BatchOperations)} - there))
"""


def test_what_env_py_imports_registers_every_operation() -> None:
    """`alembic upgrade` and a project's tests import nothing else. A new module of operations must be imported there."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    count, missing = done.stdout.strip().split(" ", 1)
    assert int(count) >= 10
    assert missing == "[]"
