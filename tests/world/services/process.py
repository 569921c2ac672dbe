"""Starts a program, waits until it listens, and always stops it.

If a test runs as root, as in CI, the program runs as an ordinary account: PostgreSQL and PgBouncer refuse to run as
root. Knows no particular program.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"
START_SECONDS, STOP_SECONDS, POLL_SECONDS = 30.0, 15.0, 0.03
SHOWN = 1500  # characters of output that an error shows
SYSTEM_FOLDERS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin")
ACCOUNTS = ("postgres", "nobody")
# From util-linux, which every Debian has: the program is interrupted when who started it has ended.
WITH_ITS_PARENT = ("setpriv", "--pdeathsig", "INT")


class MissingProgramError(RuntimeError):
    """A program is not installed; `scripts/test-world` says which package has it."""


def find_program(name: str) -> str:
    """The path of an installed program, also of those that an ordinary account's PATH does not have.

    Raises:
        MissingProgramError: it is not installed.
    """
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), *SYSTEM_FOLDERS)))
    if found is None:
        raise MissingProgramError(name)
    return found


def ordinary_account() -> dict[str, Any]:
    """The arguments of `subprocess` that start a program as an account without rights.

    None when the tests are no root.
    """
    if os.geteuid() != 0:
        return {}
    known = {entry.pw_name: entry for entry in pwd.getpwall()}
    account = next(known[name] for name in ACCOUNTS if name in known)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def free_port() -> int:
    """A loopback port at which nothing listens."""
    with socket.create_server((HOST, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def own_directory() -> Iterator[Path]:
    """A temporary directory that belongs to the account of the programs; its path is short, as Unix sockets demand."""
    directory = Path(tempfile.mkdtemp(prefix="rw"))
    account = ordinary_account()
    if account:
        os.chown(directory, account["user"], account["group"])
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A running program and what it has written."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def output(self) -> str:
        """What it has written so far."""
        return self.log.read_text(errors="replace")

    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None

    def kill(self) -> None:
        """End it as a power failure would."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """End it by a signal, and by force when it does not go."""
        if not self.is_alive():
            return
        self.process.send_signal(number)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


def start(
    command: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None,
    **account: Any,
) -> Program:  # fmt: skip
    """Start a program; what it writes is appended to `log`.

    It does not outlive the tests, not even tests that were killed.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*WITH_ITS_PARENT, *command], stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env=None if environment is None else {**os.environ, **environment}, cwd=cwd, **account,
        )  # fmt: skip
    return Program(process=process, log=log)


def is_listening(port: int) -> bool:
    """Whether a connection to the loopback port is accepted."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def wait_until(holds: Callable[[], bool], program: Program | None = None, *, seconds: float = START_SECONDS) -> float:
    """Ask until it holds; the seconds that this took. An AssertionError with the program's output when it does not."""
    started = time.monotonic()
    while not holds():
        output = "" if program is None else program.output()[-SHOWN:]
        assert program is None or program.is_alive(), f"{program.process.args!r} ended:\n{output}"
        assert time.monotonic() - started < seconds, f"not after {seconds} s:\n{output}"
        time.sleep(POLL_SECONDS)
    return time.monotonic() - started


def run(command: Sequence[str], **options: Any) -> str:
    """Run a program to its end; its output. An AssertionError with it when it fails."""
    done: subprocess.CompletedProcess[bytes] = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, **options
    )
    output = done.stdout.decode(errors="replace")
    assert done.returncode == 0, f"{command!r} failed with {done.returncode}:\n{output}"
    return output
