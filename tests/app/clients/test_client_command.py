"""`rowhouse client typescript` generates a client of the product that compiles and states the version."""

import json
from pathlib import Path

import pytest

from rowhouse.cli.client import PACKAGES, generate
from tests.app.clients import tools

pytestmark = pytest.mark.xdist_group("clients")  # npm installs once


def test_it_installs_what_the_tests_of_the_client_use() -> None:
    """The same versions."""
    assert json.loads(tools.PACKAGES.read_text("utf-8"))["dependencies"] == PACKAGES


def test_a_typescript_client_compiles(workshop: Path, tmp_path: Path) -> None:
    """`client.ts` connects, and `package.json` has the version of the API."""
    tools.install_packages()
    document = json.loads((workshop / "product.json").read_text("utf-8"))
    (tmp_path / "openapi.json").touch()
    (tmp_path / "node_modules").symlink_to(tools.MODULES)
    said = generate("typescript", document, tmp_path)
    version = document["info"]["version"]
    assert said == f"Wrote {tmp_path / 'client.ts'}, a typescript client of Rowhouse {version}."
    assert json.loads((tmp_path / "package.json").read_text("utf-8"))["version"] == version
    assert f'export const VERSION = "{version}"' in (tmp_path / "client.ts").read_text("utf-8")
    assert '"/api/v1/books"' in (tmp_path / "api.ts").read_text("utf-8")
