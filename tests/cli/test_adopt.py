"""`rowhouse adopt` writes the tables of a database as classes and lines, and says what it leaves out."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from typer.testing import CliRunner

from rowhouse.cli.adopt.types import UntakenError, code_of
from rowhouse.cli.main import rowhouse
from rowhouse.cli.project import VARIABLE
from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine
from tests.cli.adopted_schemas import make_tables, shape_of
from tests.cli.conftest import Run, sqlite_file
from tests.cli.test_entity import contents, ruff
from tests.databases import Databases

VISIT = Path(__file__).parent / "visit_adopted.py"
MEMBERS = {"display_name": "New", "zip": "123", "moods": ["class"], "tags": ["x"], "ip": "10.0.0.9"}
REQUESTS: dict[str, list[list[Any]]] = {
    "postgresql": [
        ["POST", "/shops", {**MEMBERS, "updated_at": "2030-01-01T00:00:00Z"}],
        ["PATCH", "/shops/1", {"class_": "new", "mood": "class", "ratio": 0.1}],
        ["POST", "/shops", {**MEMBERS, "zip": "no digits"}],
        ["POST", "/shops", {**MEMBERS, "mood": "sad"}],
        ["PUT", "/countries/B", {"name": "Belgium"}],
        ["POST", "/tags", {"label": "a", "home": "FR"}],
        ["POST", "/tags", {"label": "d", "home": "XX"}],
        ["POST", "/visits", {"shop_id": 2, "day": "2030-01-03"}],
        ["POST", "/notes/batch?on=id", [{"id": 2, "shop_id": 2, "day": "2030-01-03"}]],
        ["DELETE", "/shop-tags/1,1", None],
        ["DELETE", "/countries/DEU", None],
        ["POST", "/measures", {"id": 2, "at": "2030-04-04"}],
        ["POST", "/measures", {"id": 3, "at": "2031-04-04"}],
    ],
    "sqlite": [
        ["POST", "/shops", {"display_name": "New", "seen": "2030-01-01T00:00:00Z", "big": 2**40, "code": "x"}],
        ["PATCH", "/shops/1", {"class_": "new", "when": "2030-01-01T00:00:00Z"}],
        ["POST", "/countries", {"code": 8, "name": "y"}],
        ["POST", "/visits", {"shop_id": 2, "day": "2030-01-03"}],
        ["DELETE", "/shop-tags/1,1", None],
    ],
}


ALIKE = (
    "ops.tag: Tag and TagRow have the tables tag and ops.tag, which differ in their schema alone: "
    "register one of them; rowhouse adopt --schema ops reads one schema"
)


@dataclass(frozen=True)
class Adopted:
    """A project with an adopted database: what the command printed, and what a visit of the API found."""

    directory: Path
    output: str
    before: list[str]
    after: list[str]
    visit: dict[str, Any]

    def text(self, name: str) -> str:
        """A file of the project."""
        return (self.directory / "backend/app" / name).read_text("utf-8")


def shape(database_url: str) -> list[str]:
    """The adopted tables as the database describes them."""
    engine = create_engine(Settings(database_url=database_url))
    with engine.connect() as connection:
        found = shape_of(connection)
    engine.dispose()
    return found


@pytest.fixture(scope="module")
def adopted(backend: str, databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adopted]:
    """Tables of other programs, adopted by a new project, migrated and visited."""
    url, folder = databases.prepared(backend, "adopted", make_tables), tmp_path_factory.mktemp("adopted")
    before = shape(url)
    with pytest.MonkeyPatch.context() as patch:
        for name in (*Settings.model_fields, VARIABLE):
            patch.delenv(name.upper(), raising=False)
        patch.setenv("LOG_LEVEL", "error")
        patch.chdir(folder)
        assert CliRunner().invoke(rowhouse, ["new", "shop"]).exit_code == 0
        directory = folder / "shop"
        # The product of this repository has a package of the same name, which Python would find first.
        (directory / "backend/app/__init__.py").write_text('"""The shop."""\n', "utf-8")
        patch.chdir(directory)
        done = CliRunner().invoke(rowhouse, ["adopt", url])
        assert done.exit_code == 0, done.output
        words = [sys.executable, str(VISIT)]
        requests = json.dumps(REQUESTS[backend])
        found = subprocess.run(words, input=requests, capture_output=True, text=True, check=False)
        assert (found.returncode, found.stderr) == (0, ""), found.stdout + found.stderr
        visit = json.loads(found.stdout.splitlines()[-1])
        yield Adopted(directory, done.output, before, shape(url), visit)


@pytest.mark.parametrize(
    ("precision", "scale", "digits", "places"),
    [(4, 2, 4, 2), (3, -2, 5, 0), (2, 5, 5, 5), (30, 10, 15, 10), (None, 3, 15, 3)],
)
def test_decimals_of_any_scale(precision: int | None, scale: int, digits: int, places: int) -> None:
    """PostgreSQL has `numeric(3, -2)` and `numeric(2, 5)`."""
    found = code_of(sa.NUMERIC(precision, scale), "postgresql")
    assert found.arguments == (f"max_digits={digits}", f"decimal_places={places}")


def test_types_of_the_catalogue_are_left_out(databases: Databases) -> None:
    """PostgreSQL cuts what they cannot hold, without a word."""
    engine = create_engine(Settings(database_url=databases.empty("postgresql")))
    with engine.begin() as connection:
        connection.exec_driver_sql('CREATE TABLE t (a name, b "char", c text, d varchar(3))')
        *cut, text, short = [column["type"] for column in sa.inspect(connection).get_columns("t")]
    engine.dispose()
    for kind in cut:
        with pytest.raises(UntakenError, match="cuts longer text"):
            code_of(kind, "postgresql")
    assert [code_of(kind, "postgresql").arguments for kind in (text, short)] == [(), ("max_length=3",)]


def test_everything_is_read(adopted: Adopted, backend: str) -> None:
    """Every list by every column, every row, filter and relation; nothing is written."""
    assert adopted.visit["faults"] == []
    assert set(adopted.visit["refused"]) == {405}
    totals = {path: found["total"] for path, found in adopted.visit["lists"].items()}
    both = {"shops": 5, "tags": 3, "shop-tags": 3, "visits": 2, "countries": 2}
    assert totals == (
        both | {"people": 1, "desks": 0, "notes": 2, "measures": 1, "jobs": 1, "births": 1}
        if backend == "postgresql"
        else {"shops": 3, "tags": 2, "shop-tags": 3, "visits": 1, "countries": 1}
    )


def test_the_schema_is_left_alone(adopted: Adopted) -> None:
    """The project's migrations apply, and a comparison finds no difference."""
    assert adopted.visit["migrated"] == [0, 0]
    assert adopted.before == adopted.after


def test_the_code_is_as_the_project_checks_it(adopted: Adopted) -> None:
    """By ruff, formatted, with one line for each class."""
    ruff(adopted.directory)
    assert 'registry.register(Shop, write=ADMIN, operations=("list", "get"))\n' in adopted.text("api.py")
    assert "DATABASE_URL='" in (adopted.directory / ".env").read_text("utf-8")


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_tables_of_postgresql(adopted: Adopted) -> None:
    """What is taken, with the names of Python; and what is not, with the reason."""
    models = adopted.text("models.py")
    for line in (
        '    """A place that \'sells\'."""',
        '    shop_id: int | None = Field(default=None, primary_key=True, sa_column_kwargs={"name": "shopId"})',
        '    display_name: str = Field(max_length=60, sa_column_kwargs={"name": "Display Name"})',
        '    class_: str | None = Field(default=None, sa_column_kwargs={"name": "class"})',
        '        sa_type=sa.Enum("calm", "Very busy", "class", name="mood"),',
        "    zip: str | None = None",
        '        sa_column_kwargs={"server_default": sa.text("\'{}\'::text[]")},',
        "    naive: dt.datetime | None = Field(default=None, sa_type=sa.DateTime)",
        "    rating: Decimal | None = Field(default=None, max_digits=4, decimal_places=2)",
        "    total: Decimal | None = Field(default=None, max_digits=15, decimal_places=4)",
        "    about: Any = Field(default=None, nullable=True, sa_type=postgresql.JSONB)",
        "    area: int | None = Field(default=None, sa_column_args=[sa.Computed('(\"shopId\" * 2)')])",
        "    date: dt.date | None = None",
        '    str_: str | None = Field(default=None, sa_column_kwargs={"name": "str"})',
        "    home: str | None = Field(default=None, max_length=3, sa_type=sa.CHAR(3))",
        '        sa.UniqueConstraint("home", "label", name="uq_tag_home_label"),',
        '        sa.Index("one_note", "shop_id", "day", unique=True),',
        "    parent: int | None = Field(default=None, index=True)",
    ):
        assert f"{line}\n" in models
    assert 'name="job_shop_id_fkey"), {"schema": "ops"})\n' in models
    assert 'name="desks_owner_id_fkey", deferrable=True, initially="DEFERRED"' in models
    left_out = adopted.output.partition("Left out:\n")[2].splitlines()
    assert [line.strip() for line in left_out[:-1]] == [
        "Shop.grid: its type is BIT(3), which no member can hold",
        "Shop.place: its type is point, which no member can hold",
        "Shop.price: its type is MONEY, which no member can hold",
        "Shop.words: it is the index of a full-text search, not a value",
        "alarm: it has no primary key, so no path could name one of its rows",
        "busy: it is a view, which has no key",
        "event: it has the rows of alarm, birth too, which inherit from it",
        "measure_2030: it is a partition of measure, which has its rows",
        "no_key: it has no primary key, so no path could name one of its rows",
        "ops.job.p: its type is point, which no member can hold",
        ALIKE,
        "people.codes: it is an array of a domain, which the driver reads as a text",
        "people.grid: it is an array of several dimensions",
        "people.mood: its type is a domain over an enum, which PostgreSQL compares with no text",
        "spots: its key place: its type is CIDR, which no member can hold",
    ]
    assert left_out[-1] == "Wrote DATABASE_URL into .env."
    assert adopted.visit["lists"]["countries"]["first"][0]["code"] == "DEU"
    relations = {path: found["expand"] for path, found in adopted.visit["lists"].items()}
    assert (relations["people"], relations["desks"]) == (["desk_desk", "desks"], ["owner", "persons"])
    assert 'registry.register(Person, path="people", write=ADMIN, operations=("list", "get"))' in adopted.text("api.py")
    assert relations["notes"] == ["notes", "parent_note"]
    assert relations["shops"] == ["jobs", "shop_tags", "visits_by_guide_shop", "visits_by_shop"]
    assert relations["tags"] == ["country", "shop_tags"]  # a shop has a column `tags`


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_postgresql_is_written_once_it_is_allowed(adopted: Adopted) -> None:
    """Defaults, enums, domains, arrays and padded keys; a broken rule is no 500."""
    shop, changed, zip_, mood, country, twice, lost, visit, upserted, link, used, *measures = adopted.visit["answers"]
    assert shop[0] == 201, shop
    assert (shop[1]["mood"], shop[1]["area"], shop[1]["moods"]) == ("calm", shop[1]["shop_id"] * 2, ["class"])
    assert (changed[0], changed[1]["class_"], changed[1]["mood"], changed[1]["ratio"]) == (200, "new", "class", 0.1)
    assert changed[1]["updated_at"] == "2020-01-01T00:00:00Z"
    assert (zip_[0], mood[0], country[0], twice[0], lost[0]) == (409, 422, 201, 409, 409)
    assert (twice[1]["detail"], lost[1]["code"]) == ("Tag with this label already exists", "reference_not_found")
    assert (country[1]["code"], visit[1]["n"], upserted[0], link[0]) == ("B", 1, 200, 204)
    assert used[0] == 204  # ON DELETE SET NULL
    assert [status for status, _ in measures] == [201, 409]
    assert (measures[0][1]["at"], measures[1][1]["detail"]) == (
        "2030-04-04",
        "The values break a rule of the database.",
    )


@pytest.mark.parametrize("backend", ["sqlite"], indirect=True)
def test_tables_of_sqlite(adopted: Adopted) -> None:
    """A column has the type that all its values fit; and writing works once it is allowed."""
    models = adopted.text("models.py")
    for line in (
        "    rating: Decimal | None = Field(default=None, max_digits=4, decimal_places=2)",
        "    total: float | None = None",
        "    seen: dt.datetime | None = Field(default=None, sa_type=sqlite.DATETIME)",
        "    day: dt.date | None = None",
        "    when: dt.datetime | None = Field(default=None, sa_type=sqlite.DATETIME)",
        "    updated_at: dt.datetime | None = None",
        "    big: int | None = Field(default=None, sa_type=sa.BigInteger)",
        "    flag: bool | None = None",
        "    code: str | None = Field(default=None, max_length=3, unique=True)",
        '    naeme_s: str | None = Field(default=None, sa_column_kwargs={"name": "Näme (%s)"})',
        '    shop_id: int = Field(primary_key=True, sa_type=sa.BigInteger, foreign_key="Shop.shopId")',
    ):
        assert f"{line}\n" in models
    assert 'sa.ForeignKeyConstraint(["host"], ["Shop.shopId"], deferrable=True, initially="DEFERRED")' in models
    left_out = adopted.output.partition("Left out:\n")[2].splitlines()[:-1]
    assert [line.strip() for line in left_out if "words_" not in line] == [
        "Shop.mixed: its values have no common type",
        "Shop.odd: its values have no common type",
        "busy: it is a view, which has no key",
        "no_key: it has no primary key, so no path could name one of its rows",
        "words: it is a virtual table, or belongs to one",
    ]
    relations = {path: found["expand"] for path, found in adopted.visit["lists"].items()}
    assert relations["shops"] == ["shop_tags", "tags", "visits_by_host_shop", "visits_by_shop"]
    shop, changed, country, visit, link = adopted.visit["answers"]
    assert (shop[0], shop[1]["number"], shop[1]["big"], shop[1]["area"]) == (201, 7, 2**40, 2 * shop[1]["shop_id"])
    assert (changed[0], changed[1]["when"]) == (200, "2030-01-01T00:00:00Z")
    assert (country[0], country[1]["code"]) == (201, 8), country
    assert (visit[0], link[0]) == (201, 204)


BOOKS = "CREATE TABLE books (id INTEGER PRIMARY KEY, title TEXT NOT NULL, n INTEGER NOT NULL)"
USERS = "CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)"


def test_what_the_trial_refuses_is_left_out(
    run: Run, project: Path, tmp_path: Path, untried: list[dict[str, str]]
) -> None:
    """A column that a refusal names, or the whole table, each with the sentence."""
    url = sqlite_file(tmp_path, BOOKS, "CREATE TABLE others (id INTEGER PRIMARY KEY)", USERS)
    untried += [{"Book": "Book.n: no."}, {"Other": "Other.none: odd."}, {"Other": "Other is odd."}]
    done = run("adopt", url, "--writable", "--read", "anyone", "--write", "signed-in")
    assert done.exit_code == 0, done.output
    assert "    Other" not in done.output
    assert "    books  /api/v1/books (read-only: a column that every row needs was left out)\n" in done.output
    assert "    books.n: Book.n: no.\n    others: Other is odd.\n    users: Rowhouse has a table" in done.output
    assert "Rowhouse makes a table users of its own" in done.output
    line = 'registry.register(Book, read=ANYONE, write=SIGNED_IN, operations=("list", "get"))\n'
    assert line in (project / "backend/app/api.py").read_text("utf-8")
    again = run("adopt", url)
    assert again.exit_code == 0
    assert "class Book(" in (project / "backend/app/models.py").read_text("utf-8")
    assert "Adopted 1 table, read-only" in again.output  # `others`, which no trial refuses now
    assert "There is no table to adopt; nothing was written.\nLeft out:" in run("adopt", url).output


@pytest.mark.usefixtures("untried")
def test_names_that_are_taken(run: Run, project: Path, tmp_path: Path) -> None:
    """Classes of one singular, names of Rowhouse, columns that differ in case, and the URL of another database."""
    (project / ".env").write_text("DATABASE_URL=sqlite:///mine.db\n", "utf-8")
    tables = ('CREATE TABLE "Item" (id INTEGER PRIMARY KEY, "userId" INTEGER, user_id INTEGER, "1st" TEXT, "_" TEXT)',)
    url = sqlite_file(
        tmp_path, *tables, "CREATE TABLE items (id INTEGER PRIMARY KEY)", 'CREATE TABLE "user" (id INTEGER PRIMARY KEY)'
    )
    done = run("adopt", url, "--writable")
    assert done.exit_code == 0, done.output
    assert "DATABASE_URL in .env names another database; change it to this one.\n" in done.output
    models = (project / "backend/app/models.py").read_text("utf-8")
    for text in (
        "class Item(",
        "class ItemRow(",
        "class UserRow(",
        "    user_id_1: ",
        "    column_1st: ",
        "    column: ",
    ):
        assert text in models
    ruff(project)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (lambda folder: [f"sqlite:///{folder}/none.db"], "The database cannot be read: there is no file "),
        (lambda _folder: ["nonsense"], "ArgumentError: DATABASE_URL is no URL; write sqlite:///path"),
        (lambda _folder: ["mysql://x"], "The database cannot be read: DATABASE_URL: it must begin with sqlite:///"),
        (lambda folder: [sqlite_file(folder, BOOKS), "--schema", "x"], "there is no schema x; there are main"),
        (lambda folder: [sqlite_file(folder)], "There is no table to adopt; nothing was written."),
    ],
)
def test_a_database_that_cannot_be_adopted(
    run: Run, project: Path, tmp_path: Path, words: Callable[[Path], list[str]], said: str
) -> None:
    """One sentence, and nothing is written."""
    before = contents(project)
    refused = run("adopt", *words(tmp_path))
    assert (refused.exit_code, said in refused.output) == (1, True), refused.output
    assert contents(project) == before


def test_a_project_that_cannot_be_changed(
    run: Run, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A registry that no class fits, a project that does not load, and a folder without one."""
    url = sqlite_file(tmp_path, BOOKS)
    before = contents(project)
    monkeypatch.setattr("rowhouse.cli.adopt.command._trial", lambda _plan: {"": "RegistrationError: no."})
    steps = ["Reading the tables ...", "Trying the classes ..."]
    assert run("adopt", url).stderr.splitlines() == [*steps, "Nothing was written. RegistrationError: no."]
    monkeypatch.setattr("rowhouse.cli.adopt.command._trial", lambda _plan: {})
    failed: Any = subprocess.CompletedProcess([], 1, "", "no module")
    monkeypatch.setattr("rowhouse.cli.adopt.command._python", lambda *_words: failed)
    assert run("adopt", url).stderr.splitlines() == [
        *steps,
        "Loading the project ...",
        "Nothing was written. no module",
    ]
    assert contents(project) == before
    os.chdir(tmp_path)
    assert "There is no backend/app/api.py" in run("adopt", url).output or run("adopt", url).exit_code == 1
