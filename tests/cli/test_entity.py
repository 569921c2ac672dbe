"""`rowhouse entity` writes a class, a registration line, a migration and a test, or nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

from rowhouse.cli.errors import CommandError
from rowhouse.cli.scaffold import entity
from rowhouse.cli.scaffold.source import add_imports
from tests.cli.conftest import Run

EVERY_TYPE = (
    "name:str", "nickname:str?", "kind:str=house", "founded:int?", "stock:int=0", "ratio:float=0.5", "active:bool=true",
    "form:enum(paper,audio_book)=paper", "opened:date", "seen:datetime=now", "price:decimal=9.99", "code:uuid", "about:json",
)  # fmt: skip
PUBLISHER = '''class PublisherForm(StrEnum):
    """The form of a publisher."""

    PAPER = "paper"
    AUDIO_BOOK = "audio_book"


class Publisher(Entity, table=True):
    """A publisher."""

    name: str = Field(min_length=1, max_length=200, index=True)
    nickname: str | None = Field(default=None, min_length=1, max_length=200, index=True)
    kind: str = Field(default="house", min_length=1, max_length=200, index=True)
    founded: int | None = Field(default=None, index=True)
    stock: int = Field(default=0, index=True)
    ratio: float = Field(default=0.5, index=True)
    active: bool = Field(default=True, index=False)
    form: PublisherForm = Field(default=PublisherForm.PAPER, index=True)
    opened: date = Field(index=True)
    seen: datetime = Field(default_factory=now, index=True)
    price: Decimal = Field(default=Decimal("9.99"), max_digits=12, decimal_places=2, index=True)
    code: UUID = Field(index=True)
    about: dict[str, Any] = Field(sa_type=JSON, index=False)
'''


@pytest.fixture
def shop(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new project, which is the working directory."""
    assert run("new", "shop").exit_code == 0
    monkeypatch.chdir(tmp_path / "shop")
    # The product of this repository has a package of the same name, which Python would find first.
    (tmp_path / "shop/backend/app/__init__.py").write_text('"""The shop."""\n', "utf-8")
    return tmp_path / "shop"


@pytest.fixture
def _unapplied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The project is neither loaded nor migrated, which takes seconds."""
    monkeypatch.setattr(entity, "_apply", lambda _directory: "")


def text_of(shop: Path, name: str) -> str:
    """A file of the project."""
    return (shop / name).read_text("utf-8")


def contents(shop: Path) -> dict[str, str]:
    """The texts of a project."""
    found = [path for path in shop.rglob("*") if path.is_file() and not {".git", "__pycache__"} & set(path.parts)]
    return {path.as_posix(): path.read_text("utf-8") for path in found if path.suffix != ".db"}


def ruff(shop: Path) -> None:
    """The project passes its own style checks."""
    for words in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, "--no-cache", "."]
        done = subprocess.run(command, cwd=shop, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_an_entity_of_every_type_is_written_applied_and_served(run: Run, shop: Path) -> None:
    """The class, its line, the migration, and a test of it that passes."""
    made = run("entity", "Publisher", *EVERY_TYPE)
    assert made.exit_code == 0, made.output
    assert PUBLISHER in text_of(shop, "backend/app/models.py")
    assert "registry.register(Publisher, write=SIGNED_IN)\n" in text_of(shop, "backend/app/api.py")
    assert made.stdout.splitlines()[:4] == [
        "Wrote backend/app/models.py",
        "Changed backend/app/api.py",
        "Wrote tests/test_publisher.py",
        "Created alembic/script.py.mako; commit it.",
    ]
    assert len(made.stdout.splitlines()) == 5
    assert made.stderr == "Loading the project, and writing and applying the migration ...\n"
    (migration,) = (shop / "alembic/versions").glob("*_add_publishers.py")
    assert f"Wrote and applied alembic/versions/{migration.name}" in made.stdout
    ruff(shop)
    words = [sys.executable, "-m", "pytest", "-p", "pytest_rowhouse", "-p", "no:cacheprovider", "-p", "no:xdist"]
    words += ["--databases", "sqlite", "tests/test_publisher.py"]
    tested = subprocess.run(words, cwd=shop, capture_output=True, text=True, check=False)
    assert "1 passed" in tested.stdout, tested.stdout + tested.stderr


@pytest.mark.usefixtures("_unapplied")
def test_entities_refer_to_each_other(run: Run, shop: Path) -> None:
    """To accounts, to entities with other keys, and to themselves. The code is as ruff formats it."""
    (shop / "backend/app/parts.py").write_text(
        '"""Others."""\n\nfrom rowhouse import BigIntegerKey, Record\n\n\n'
        'class Reading(BigIntegerKey, Record, table=True):\n    """A reading."""\n\n    __tablename__ = "measured"\n',
        "utf-8",
    )
    assert run("entity", "Publisher", "name:str").exit_code == 0
    assert run("entity", "Ticket", "id:uuid", "name:str", "parent:Ticket?").exit_code == 0
    made = run(
        "entity", "OldBook", "title:str?!", "publisher:Publisher", "seller_id:User?", "ticket:Ticket!", "reading:Reading?",
        "sequel:OldBook?", "a_rather_long_name_of_a_price:decimal=1234567890.5", "--read", "anyone", "--write", "admin",
    )  # fmt: skip
    assert made.exit_code == 0, made.output
    models = text_of(shop, "backend/app/models.py")
    assert '"""An old book."""' in models
    for line in (
        'publisher_id: int = Field(foreign_key="publishers.id", index=True)',
        'seller_id: int | None = Field(default=None, foreign_key="users.id", index=True)',
        "class Ticket(UUIDKey, Record, table=True):",
        'parent_id: UUID | None = Field(default=None, foreign_key="tickets.id", index=True)',
        'ticket_id: UUID = Field(foreign_key="tickets.id", unique=True)',
        "title: str | None = Field(default=None, min_length=1, max_length=200, unique=True)",
        'reading_id: int | None = Field(default=None, foreign_key="measured.id", index=True, sa_type=BigInteger)',
        'sequel_id: int | None = Field(default=None, foreign_key="old_books.id", index=True)',
    ):
        assert line in models
    assert "registry.register(OldBook, read=ANYONE, write=ADMIN)\n" in text_of(shop, "backend/app/api.py")
    assert "def test_old_book_is_stored(" in text_of(shop, "tests/test_old_book.py")
    ruff(shop)


@pytest.mark.usefixtures("_unapplied")
def test_an_entity_has_an_owner_and_an_enum(run: Run, shop: Path) -> None:
    """The owner is a reference to an account. An enum may be null, and has a name that no other class has."""
    made = run("entity", "Loan", "mood:enum(good,bad)?", "reader:User", "--owner", "reader")
    assert made.exit_code == 0, made.output
    assert "    mood: LoanMood | None = Field(default=None, index=True)\n" in text_of(shop, "backend/app/models.py")
    assert 'registry.register(Loan, owner="reader_id", write=SIGNED_IN)\n' in text_of(shop, "backend/app/api.py")
    before = contents(shop)
    for words, said in (
        (("LoanMood", "name:str"), "has a class LoanMood already"),
        (("Visit", "loan:Loan", "--owner", "loan"), "--owner loan: add the field loan:User"),
        (("Visit", "name:str", "--owner", "reader"), "add the field reader:User"),
        (("Visit", "mood:enum(good,Bad)"), "write different values in lower case"),
        (("Visit", "mood:enum(good,good)"), "write different values in lower case"),
        (("Visit", "mood:enum()"), "write different values in lower case"),
        (("Visit", "mood:enum(good,bad)=worse"), "the default must be one of good, bad"),
        (("Visit", "mood:enum(good,bad)!"), "an enum is not unique"),
    ):
        refused = run("entity", *words)
        assert refused.exit_code in (1, 2), words
        assert said in refused.output
    assert contents(shop) == before
    ruff(shop)


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("publisher", "name:str"), 2, "'publisher' is not the name of an entity"),
        (("Field", "name:str"), 2, "'Field' is a name of Python or of Rowhouse"),
        (("Exception", "name:str"), 2, "is a name of Python or of Rowhouse"),
        (("Author", "name:str", "name:int"), 2, "'name' stands there twice"),
        (("Author", "name:bool!"), 2, "a bool or json is not unique"),
        (("Author", "name:str!=x"), 2, "a unique field has no default"),
        (("Author", "name"), 2, "'name' is not a field: write name:type"),
        (("Author", "name:text"), 2, "'text' is not a type; the types are str, int"),
        (("Author", "Name:str"), 2, "'Name' is not the name of a field"),
        (("Author", "first__name:str"), 2, "'first__name' is not the name of a field"),
        (("Author", "class:str"), 2, "'class' is a word of Python"),
        (("Author", "id:int"), 2, "'id' is the key of every entity; id:uuid makes it a UUID"),
        (("Author", "id:uuid"), 2, "Write at least one field"),
        (("Author", "sort:int"), 2, "'sort' is a parameter of every list"),
        (("Author", "metadata:json"), 2, "'metadata' is an attribute of every table class"),
        (("Author", "model_name:str"), 2, "'model_name' is an attribute of every table class"),
        (("Author", "born:int=soon"), 2, "'soon' is not a value of the type int"),
        (("Author", "born:int=99999999999"), 2, "is not a value of the type int"),
        (("Author", "ratio:float=nan"), 2, "'nan' is not a value of the type float"),
        (("Author", "active:bool=yes"), 2, "'yes' is not a value of the type bool"),
        (("Author", "price:decimal=1.999"), 2, "'1.999' is not a value of the type decimal"),
        (("Author", "price:decimal=cheap"), 2, "'cheap' is not a value of the type decimal"),
        (("Author", "born:date=2030-02-31"), 2, "'2030-02-31' is not a value of the type date"),
        (("Author", "seen:datetime=2030-01-31"), 2, "is not a value of the type datetime"),
        (("Author", "name:str="), 2, "'' is not a value of the type str"),
        (("Author", "key:uuid=1"), 2, "a default of the type uuid cannot be written here"),
        (("Author", "publisher:Publisher=1"), 2, "a reference has no default"),
        (("Author",), 2, "Missing argument"),
        (("Author", "name:str", "--write", "nobody"), 2, "Invalid value"),
        (("Publisher", "name:str"), 1, "The project has a class Publisher already"),
        (("User", "name:str"), 2, "'User' is a name of Python or of Rowhouse"),
        (("RefreshToken", "name:str"), 1, "the table refresh_tokens, which belongs to the engine"),
        (("PUBLISHER", "name:str"), 1, "the table publishers, which belongs to Publisher"),
        (("Author", "agent:Agent"), 1, "there is no entity Agent; the entities are Part, Publisher, User"),
        (("Author", "kind:Kind"), 1, "there is no entity Kind"),
        (("Author", "part:Part"), 1, "the key of Part is not known here; write the column by hand"),
        (("Author", "pupil:Author"), 1, "the first author could never be stored; write Author?"),
    ],
)
@pytest.mark.usefixtures("_unapplied")
def test_what_cannot_be_written_is_refused(
    run: Run, shop: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    """With one sentence, and nothing is written."""
    models = '"""M."""\n\n\nclass Publisher(Entity, table=True):\n    pass\n\n\nclass Kind(StrEnum):\n    pass\n\n\n'
    (shop / "backend/app/models.py").write_text(f"{models}class Part(Own, table=True):\n    pass\n", "utf-8")
    before = contents(shop)
    done = run("entity", *words)
    assert done.exit_code == status, done.output
    assert said in " ".join(done.stderr.split())
    assert contents(shop) == before


@pytest.mark.usefixtures("_unapplied")
def test_an_entity_that_clients_only_read(run: Run, shop: Path) -> None:
    """Nobody writes it, so no word says who may. Its test stores a row beside the API."""
    words = ("entity", "Country", "name:str!", "--read", "anyone", "--read-only")
    refused = run(*words, "--write", "admin")
    assert (refused.exit_code, "no client writes what clients only read" in refused.stderr) == (2, True)
    made = run(*words)
    assert made.exit_code == 0, made.output
    line = 'registry.register(Country, read=ANYONE, operations=("list", "get"))\n'
    assert line in text_of(shop, "backend/app/api.py")
    test = text_of(shop, "tests/test_country.py")
    assert "def test_country_is_read(client: TestClient, admin: Headers, make: Make) -> None:\n" in test
    assert 'assert client.post("/api/v1/countries", json={}, headers=admin).status_code == 405\n' in test
    ruff(shop)


def test_a_change_that_cannot_be_applied_is_taken_back(run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were there are as they were, and new ones are gone."""

    def fail(_directory: Path) -> str:
        assert "class Author" in text_of(shop, "backend/app/models.py")
        raise CommandError("Nothing was written. The database does not answer.")

    monkeypatch.setattr(entity, "_apply", fail)
    before = contents(shop)
    done = run("entity", "Author", "name:str")
    assert (done.exit_code, done.stderr.splitlines()[1:]) == (1, ["Nothing was written. The database does not answer."])
    assert contents(shop) == before


@pytest.mark.usefixtures("_unapplied")
def test_a_test_that_is_there_is_kept(run: Run, shop: Path) -> None:
    """Somebody has written it."""
    (shop / "tests/test_author.py").write_text("mine", "utf-8")
    before = contents(shop)
    done = run("entity", "Author", "name:str")
    assert (done.exit_code, done.stderr) == (1, "tests/test_author.py exists already; rename it.\n")
    assert contents(shop) == before


def test_a_project_that_cannot_be_loaded_takes_no_entity(run: Run, shop: Path) -> None:
    """The sentence names what is wrong with it."""
    main = shop / "backend/app/main.py"
    main.write_text(main.read_text("utf-8").replace("import registry", "import registy"), "utf-8")
    before = contents(shop)
    done = run("entity", "Author", "name:str")
    assert done.exit_code == 1
    assert "Nothing was written. The application cannot be loaded. ImportError" in done.stderr
    assert contents(shop) == before


def test_a_folder_without_a_project_takes_no_entity(run: Run) -> None:
    """The sentence says what makes one."""
    done = run("entity", "Author", "name:str")
    assert done.exit_code == 1
    assert "There is no app/api.py with `registry = Registry(...)`" in done.stderr


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "from decimal import Decimal\n"),
        ('"""M."""\n', '"""M."""\n\nfrom decimal import Decimal\n'),
        ('"""M."""\n\nX = 1\n', '"""M."""\n\nfrom decimal import Decimal\n\nX = 1\n'),
        ("from decimal import Decimal\n", "from decimal import Decimal\n"),
        ("from decimal import MAX_PREC, localcontext\n", "from decimal import MAX_PREC, Decimal, localcontext\n"),
        ("from decimal import Context as C\n", "from decimal import Context as C\nfrom decimal import Decimal\n"),
        ("import sys\nfrom re import sub\n", "import sys\nfrom decimal import Decimal\nfrom re import sub\n"),
        ("from sqlmodel import Field\n", "from decimal import Decimal\n\nfrom sqlmodel import Field\n"),
        (
            "import os\n\nfrom app.api import registry\n",
            "import os\nfrom decimal import Decimal\n\nfrom app.api import registry\n",
        ),
        ("from . import other\n", "from decimal import Decimal\n\nfrom . import other\n"),
    ],
)
def test_an_import_goes_where_it_belongs(before: str, after: str) -> None:
    """Sorted as isort sorts, with nothing lost."""
    assert add_imports(before, [("decimal", "Decimal")], package="app") == after


def test_a_long_import_is_broken() -> None:
    """One name on each line."""
    names = [f"a_name_that_is_long_{number}" for number in range(6)]
    text = add_imports("", [("app.models", name) for name in names], package="app")
    assert text == "from app.models import (\n" + "".join(f"    {name},\n" for name in names) + ")\n"
