"""Makes fresh clones of the working tree, for tests that run the commands of the documentation.

A clone holds every file that git would keep, in one commit. It shares `.venv` and copies the bytecode, so that it does
not compile everything again. Its commands do not see the settings of the tests.
"""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path

import httpx2

from tests.commands import Run
from tests.conftest import ROOT

HOST, PORT = "127.0.0.1", 8000
AS_WRITTEN = f"http://{HOST}:{PORT}"
START_SECONDS, COMMAND_SECONDS, STOP_SECONDS = 60.0, 300.0, 30.0
NOT_OURS = ("PYTEST_", "COV_", "ROWHOUSE_", "DATABASE_URL", "ADMIN_", "LOG_", "PORT", "JWT_", "ENVIRONMENT")
GIT = ("git", "-c", "user.name=tests", "-c", "user.email=tests@example.com", "-c", "init.defaultBranch=main")

_LOCK = (Path(tempfile.gettempdir()) / f"rowhouse-tests-{os.getuid()}-{PORT}.lock").open("a")


@dataclass(frozen=True)
class Clone:
    """A clone, and the port that its servers have."""

    directory: Path
    port: int

    @property
    def url(self) -> str:
        """Where `scripts/run` serves."""
        return f"http://{HOST}:{self.port}"

    def environment(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The environment of a reader's shell, with the port where the documented one is taken."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(NOT_OURS)}
        port = {} if self.port == PORT else {"PORT": str(self.port)}
        # The shared environment finds the engine and the product of the working tree; a reader's finds those of the
        # clone.
        return {**own, **port, "PYTHONPATH": str(self.directory / "backend"), **settings}

    def run(self, command: str, **settings: str) -> "subprocess.CompletedProcess[str]":
        """Type a command; what came of it, standard error within the output."""
        return subprocess.run(
            ["bash", "-uo", "pipefail", "-ec", command.replace(AS_WRITTEN, self.url)],  # noqa: S607  the shell of a reader
            cwd=self.directory, env=self.environment(settings), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=COMMAND_SECONDS, check=False,
        )  # fmt: skip

    def git(self, *arguments: str) -> str:
        """What git says."""
        done = subprocess.run([*GIT, *arguments], cwd=self.directory, capture_output=True, text=True, check=True)
        return done.stdout

    def changes(self) -> str:
        """What `git status` finds to commit."""
        return self.git("status", "--porcelain")

    @contextmanager
    def started(self, command: str = "scripts/run") -> Iterator["Started"]:
        """A command that serves Rowhouse, once `/ready` is 200; ended as Ctrl-C does it."""
        with self.serving(command) as server:
            server.wait_until_ready()
            yield server

    @contextmanager
    def serving(self, command: str, *, end_by: int = signal.SIGINT) -> Iterator["Started"]:
        """A command that goes on until Ctrl-C, or another signal."""
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(
                ["bash", "-c", command], cwd=self.directory, env=self.environment({}), start_new_session=True,  # noqa: S607  as above
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, text=True,
            )  # fmt: skip
            server = Started(process, f"{self.url}/ready", log.fileno())
            try:
                yield server
            finally:
                server.end(end_by)


@dataclass
class Started:
    """A command that serves."""

    process: "subprocess.Popen[str]"
    ready: str
    log: int
    seconds: float = 0.0

    def output(self) -> str:
        """What it has said so far."""
        size = os.fstat(self.log).st_size
        return os.pread(self.log, size, 0).decode(errors="replace")

    def wait_until_ready(self) -> None:
        """Ask until it serves. An AssertionError with its output when it ends or takes more than a minute."""
        begun = time.monotonic()
        while not self._is_ready():
            self.seconds = time.monotonic() - begun
            assert self.process.poll() is None, self.output()
            assert self.seconds < START_SECONDS, self.output()
            time.sleep(0.05)
        self.seconds = time.monotonic() - begun

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(self.ready, timeout=START_SECONDS).status_code == 200
        except httpx2.TransportError:
            return False

    def end(self, number: int) -> None:
        """Send the signal, and end it by force when that does not help."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"it did not end on signal {number}:\n{self.output()}") from None


@contextmanager
def cloned() -> Iterator[Clone]:
    """A fresh clone, removed with its block."""
    with tempfile.TemporaryDirectory(prefix="rc", ignore_cleanup_errors=True) as parent:
        # PostgreSQL's programs, which root starts as another account, are reached through the clone's `.venv`.
        Path(parent).chmod(0o755)
        directory = Path(parent) / "rowhouse"
        for name in _kept():
            source, target = ROOT / name, directory / name
            if source.is_file() and not source.is_symlink():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
                _copy_bytecode(source, target)
        (directory / ".venv").symlink_to((ROOT / ".venv").resolve())
        clone = Clone(directory, _port())
        clone.git("init", "--quiet")
        (directory / ".git/info/exclude").write_text(".venv\n")
        clone.git("add", "--all")
        clone.git("commit", "--quiet", "--message", "as it is")
        yield clone


def _copy_bytecode(source: Path, target: Path) -> None:
    """What Python has compiled of a module holds for its copy, which has the same size and time."""
    compiled = Path(cache_from_source(str(source)))
    if source.suffix == ".py" and compiled.is_file():
        copied = Path(cache_from_source(str(target)))
        copied.parent.mkdir(exist_ok=True)
        shutil.copy2(compiled, copied)


def _kept() -> list[str]:
    """The files that git keeps of the working tree, or would."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [name for name in listed.stdout.split("\0") if name]


def _port() -> int:
    """The documented port, or a free one where somebody has that: another process of tests, say."""
    try:
        # Until this process ends.
        fcntl.flock(_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with socket.create_server((HOST, PORT)):
            return PORT
    except OSError:
        with socket.create_server((HOST, 0)) as probe:
            found: int = probe.getsockname()[1]
            return found


def run_as_told(clone: Clone, command: str, run: Run) -> None:
    """Type it, or what its table has instead, and look at what came of it."""
    done = clone.run(run.instead or command)
    assert done.returncode == run.status, done.stdout
    assert re.search(run.says, done.stdout, re.MULTILINE), done.stdout
