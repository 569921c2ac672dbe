"""The steps of docs/deploy/Containerfile on this machine: install, copy, migrate and serve as a user without rights.

No container is built here: that needs a container engine and its base image. What only an image can show (the base
image, layers, HEALTHCHECK as the engine runs it) is not tested.
"""

import json
import os
import re
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2

from tests.conftest import ROOT
from tests.test_wheel import build_wheel
from tests.world.test_wheel import READY_SECONDS, wait_until_ready

FILE = (ROOT / "docs/deploy/Containerfile").read_text("utf-8")
LINES = re.sub(r"\\\n\s*", "", FILE)
UID = 10001
IS_ROOT = os.getuid() == 0
# Root becomes the user of the image. Its Python may lie in root's own folder, so it keeps the right to read.
READ = "-all,+dac_read_search"
AS_USER = [
    "setpriv",
    f"--reuid={UID}",
    f"--regid={UID}",
    "--clear-groups",
    f"--inh-caps={READ}",
    f"--ambient-caps={READ}",
]


def instructions(name: str) -> list[str]:
    """What follows each instruction of a name."""
    return re.findall(rf"^{name} (.*)$", LINES, re.MULTILINE)


def settings(folder: Path) -> dict[str, str]:
    """The environment of the image, with the settings that a deployment gives."""
    (line,) = instructions("ENV")
    words = dict(word.split("=", 1) for word in shlex.split(line.replace("$PATH", os.environ["PATH"])))
    words["PATH"] = words["PATH"].replace("/venv/bin", str(folder / "venv/bin"))
    data = {"DATABASE_URL": f"sqlite:///{folder}/data/shop.db", "JWT_SECRET": secrets.token_hex(32)}
    return {**words, **data, "HOME": str(folder), "DRAIN_SECONDS": "0"}


def install(folder: Path) -> None:
    """Run the first stage: the requirements of the project, and its environment, without pip's cache."""
    wheels = folder / "wheels"
    wheels.mkdir()
    build_wheel(wheels, "--no-isolation")
    shutil.rmtree(wheels / "sources")
    (build,) = [line for line in instructions("RUN") if "requirements.txt" in line]
    own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ROWHOUSE", "COV"))}
    path = f"{Path(sys.executable).resolve().parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", build.replace("/venv", f"{folder}/venv").replace("python -c", f"{sys.executable} -c")],  # noqa: S607  any shell
        cwd=folder, env={**own, "PATH": path}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_the_steps_of_the_image(open_folder: Path) -> None:
    """The server is healthy and ready, stores its rows in its data, and stops on SIGTERM."""
    words = [sys.executable, "-m", "rowhouse", "new", "shop"]
    subprocess.run(words, cwd=open_folder, env={**os.environ, "PYTHONPATH": str(ROOT / "backend")}, check=True)
    folder = open_folder / "shop"
    for copied in (word for line in instructions("COPY") if "--from" not in line for word in line.split()[:-1]):
        assert copied == "wheels/" or (folder / copied).exists(), copied
    install(folder)
    data = folder / "data"
    data.mkdir()
    if IS_ROOT:
        os.chown(data, UID, UID)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {**settings(folder), "PORT": str(port)}
    run: dict[str, Any] = {
        "cwd": folder,
        "env": environment,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
    }
    user = AS_USER if IS_ROOT else []
    migrated = subprocess.run([*user, "rowhouse", "migrate"], **run, check=False)
    assert migrated.returncode == 0, migrated.stdout
    (command,) = instructions("CMD")
    (check,) = re.findall(r"HEALTHCHECK.*? CMD (\[.*\])$", LINES, re.MULTILINE)
    healthy = json.loads(check.replace(":8000", f":{port}"))
    server = subprocess.Popen([*user, *json.loads(command)], **run)
    try:
        with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=READY_SECONDS) as client:
            wait_until_ready(client, server)
            assert client.get("/health").status_code == 200
        assert subprocess.run(healthy, cwd=folder, env=environment, check=False).returncode == 0
    finally:
        server.terminate()
        said = server.communicate(timeout=READY_SECONDS)[0]
    assert server.returncode in (0, -15), said
    assert subprocess.run(healthy, cwd=folder, env=environment, capture_output=True, check=False).returncode == 1
    assert (data / "shop.db").is_file()
