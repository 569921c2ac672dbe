"""An application under measurement, as data: how it is started, and in which checkout it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from perf.harness.client import HOST

MIGRATE = ("alembic", "upgrade", "heads")


@dataclass(frozen=True, kw_only=True)
class Target:
    """One application.

    `factory` is what uvicorn gets, such as `app.main:create_app`; a target that is not a Python program has none.
    `own_server` are the arguments of `python -m` for an application that brings its server; the port follows.
    `migrate_command` is run as `python -m …` before the application starts; empty for an application without
    migrations. `environment` is added to the environment of its processes. `directory` is the checkout it runs in; None
    means this one.
    """

    name: str
    factory: str = ""
    own_server: tuple[str, ...] = ()
    migrate_command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: Path | None = None

    @property
    def database_prefix(self) -> str:
        """Return the start of its database's name. A random part follows."""
        return f"perf_{self.name}"

    def server_command(self, *, port: int, workers: int) -> list[str]:
        """Return the arguments of `python -m` that serve it on a loopback port."""
        if self.own_server:
            return [*self.own_server, "--host", HOST, "--port", str(port), "--processes", str(workers)]
        options = f"--factory --host {HOST} --port {port} --workers {workers} --loop uvloop --http httptools"
        return ["uvicorn", self.factory, *options.split(), "--no-access-log", "--log-level", "warning"]
