"""Runs every command of the README and the guides as it is written. tests/world has those that need other programs."""

import re
from collections.abc import Iterator

import pytest

from tests.clones import START_SECONDS, Clone, Started, cloned, run_as_told
from tests.commands import (
    BY_A_TEST_OF_ITS_OWN,
    BY_CI,
    DEMO,
    IN_THE_WORLD,
    NAMED_ONLY,
    ON_A_BARE_MACHINE,
    commands,
)
from tests.conftest import ROOT

pytestmark = pytest.mark.xdist_group("guide")  # one clone, and one server at the documented port
README = (ROOT / "README.md").read_text()
SIGN_IN = """API=http://127.0.0.1:8000/api/v1
TOKEN=$(curl -s http://127.0.0.1:8000/api/v1/auth/login -d username=admin@example.com -d password=rowhouse-demo \\
        | python3 -c 'import json,sys; print(json.load(sys.stdin)["access_token"])')
"""
BOOKS = "title,author,price,stock,category_id\r\nA Book Of The Guide,Somebody,12.50,3,1\r\n"


@pytest.fixture(scope="module")
def clone() -> Iterator[Clone]:
    """A fresh clone."""
    with cloned() as made:
        yield made


@pytest.fixture(scope="module")
def shop(clone: Clone) -> Iterator[Started]:
    """`scripts/run`, in another terminal: its second start, after one on an empty database."""
    with clone.started() as server:
        assert server.seconds < START_SECONDS
    with clone.started() as server:
        yield server


def text_of(key: str) -> str:
    """A command as it stands on its page."""
    return next(command.text for command in commands() if command.key == key)


def test_no_command_escapes() -> None:
    """Each stands in one table of tests/commands.py, which has nothing that stands on no page."""
    tables = (ON_A_BARE_MACHINE, IN_THE_WORLD, BY_A_TEST_OF_ITS_OWN, BY_CI, NAMED_ONLY)
    wanted = {command.key for command in commands()}
    listed = {key for table in tables for key in table}
    assert wanted - listed == set(), "add them to a table of tests/commands.py, and run them"
    assert listed - wanted - BY_CI == set(), "no page has these any more"
    assert sum(len(table) for table in tables) == len(listed), "one stands in two tables"


def test_each_change_of_a_command_has_its_reason() -> None:
    """And the tests that are named exist; what CI runs stands in .ci/run."""
    for key, run in {**ON_A_BARE_MACHINE, **IN_THE_WORLD}.items():
        assert bool(run.instead) is bool(run.because), key
    for name in set(BY_A_TEST_OF_ITS_OWN.values()):
        path, _, function = name.partition("::")
        assert f"def {function}(" in (ROOT / path).read_text(), name
    lines = (ROOT / ".ci/run").read_text().splitlines()
    assert set(lines) >= BY_CI


@pytest.mark.parametrize("command", ON_A_BARE_MACHINE)
def test_the_command_does_what_its_page_says(clone: Clone, command: str) -> None:
    """Its exit status and what it says."""
    run_as_told(clone, command, ON_A_BARE_MACHINE[command])


def test_the_first_start_and_the_second(clone: Clone, shop: Started) -> None:
    """`scripts/run` on an empty SQLite, twice: the addresses and the logins are printed, the tree is as it was."""
    assert f"{clone.url}/docs" in shop.output()
    assert re.search(r"admin@example\.com.*rowhouse-demo", shop.output())
    assert clone.changes() == ""


def test_the_calls_of_the_readme(clone: Clone, shop: Started) -> None:
    """A search finds a book of the demo, the demo's administrator signs in and makes a category."""
    done = clone.run(text_of(DEMO))
    assert done.returncode == 0, done.stdout
    assert "Werther" in done.stdout
    assert '"name":"Almanacs"' in done.stdout


def test_an_administrator_is_made(clone: Clone, shop: Started) -> None:
    """With the password from `ADMIN_PASSWORD`, as the README says; the account signs in."""
    done = clone.run("scripts/create-admin --email boss@example.com", ADMIN_PASSWORD="correct-horse")
    assert done.returncode == 0, done.stdout
    signed_in = clone.run(
        "curl -sf http://127.0.0.1:8000/api/v1/auth/login -d username=boss@example.com -d password=correct-horse"
    )
    assert "access_token" in signed_in.stdout


def test_the_files_of_the_guide(clone: Clone, shop: Started) -> None:
    """A file of books is imported, and exported under the name that the server gives it."""
    export, imported = (key for key in BY_A_TEST_OF_ITS_OWN if key.startswith("curl -H"))
    (clone.directory / "books.csv").write_text(BOOKS, newline="")
    done = clone.run(SIGN_IN + imported)
    assert '{"created":1}' in done.stdout
    (clone.directory / "books.csv").unlink()
    done = clone.run(SIGN_IN + export)
    assert done.returncode == 0, done.stdout
    (file,) = set(clone.directory.glob("*.csv"))
    assert file.read_text().startswith("id,")
    file.unlink()


def test_the_entity_of_the_readme() -> None:
    """The class and the line as they stand, `scripts/migrate "what changed"`, and the rows are served.

    `scripts/migrate` alone, after a new class and after a new column, is run by tests/app/world/test_developers_day.py.
    """
    written = re.search(r"^```python\n(class Publisher\(.*?)^```", README, re.DOTALL | re.MULTILINE)
    line = re.search(r"^```python\n(register\(Publisher, .*?)^```", README, re.DOTALL | re.MULTILINE)
    assert written is not None
    assert line is not None
    with cloned() as clone:
        add_the_entity(clone, written[1], line[1])


def add_the_entity(clone: Clone, class_: str, line: str) -> None:
    """Write both, migrate, and look at what is served."""
    models, table = clone.directory / "backend/app/catalog/models.py", clone.directory / "backend/app/api.py"
    models.write_text(f"{models.read_text()}\n\n{class_}")
    table.write_text(f"from app.catalog.models import Publisher\n{table.read_text()}{line}")
    done = clone.run('scripts/migrate "what changed"')
    assert done.returncode == 0, done.stdout
    assert re.search(r"\?\? alembic/versions/\S*what_changed", clone.changes())
    with clone.started(f".venv/bin/python -m uvicorn app.main:create_app --factory --port {clone.port}"):
        answer = clone.run("curl -sf http://127.0.0.1:8000/api/v1/publishers?sort=-founded")
        assert '"items":[]' in answer.stdout
        described = clone.run("curl -sf http://127.0.0.1:8000/openapi.json")
        assert '"founded"' in described.stdout
