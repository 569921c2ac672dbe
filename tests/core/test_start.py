"""A start that fails prints one sentence that says what to do. A start that succeeds can serve."""

import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
import uvicorn
from pydantic import ValidationError
from sqlalchemy.orm import registry as MapperRegistry  # noqa: N812  a class in lower case
from sqlmodel import Field, Relationship, SQLModel
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Process

from rowhouse.cli import migrate, serve
from rowhouse.cli.connection import Connection
from rowhouse.core.policy import ANYONE
from rowhouse.core.settings import Settings
from rowhouse.entities.model import IntegerKey, Record
from rowhouse.registration.mappers import configure_mappers
from rowhouse.registration.registry import Registry
from rowhouse.schemas.columns import RegistrationError
from tests.conftest import ROOT, shop_database
from tests.core.conftest import kept_logging
from tests.databases import Databases
from tests.migrations.copies import copy_migrations

pytestmark = pytest.mark.usefixtures("_shop_is_the_project")


@pytest.fixture
def base() -> Iterator[type[SQLModel]]:
    """A base class for wrong classes that no other test sees."""
    mappers = MapperRegistry(metadata=sa.MetaData())

    class OwnRecord(Record, registry=mappers):
        """Derive from it together with a key."""

    yield OwnRecord
    mappers.dispose()


def registered(*models: type[SQLModel]) -> Registry:
    """Return a registry of these classes."""
    registry = Registry("/api/v1")
    for model in models:
        registry.register(model, read=ANYONE, write=ANYONE)
    return registry


def several_keys(base: Any) -> Registry:
    """Two foreign keys to one table; the relationship does not say which it uses."""

    class Vet(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """One side."""

    class Appointment(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """The other."""

        vet_id: int = Field(foreign_key="vets.id", index=False)
        substitute_id: int = Field(foreign_key="vets.id", index=False)
        vet: Vet = Relationship()

    return registered(Vet, Appointment)


def no_key(base: Any) -> Registry:
    """There is no foreign key."""

    class Vet(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """One side."""

    class Appointment(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """The other."""

        vet: Vet = Relationship()

    return registered(Vet, Appointment)


def no_class(base: Any) -> Registry:
    """The class does not exist."""

    class Appointment(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """One side."""

        vet: "Vett" = Relationship()  # type: ignore[name-defined]  # noqa: F821  there is none

    return registered(Appointment)


def no_other_side(base: Any) -> Registry:
    """A `back_populates` without its counterpart."""

    class Vet(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """One side."""

    class Appointment(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """The other."""

        vet_id: int = Field(foreign_key="vets.id", index=False)
        vet: Vet = Relationship(back_populates="appointments")

    return registered(Vet, Appointment)


def same_way(base: Any) -> Registry:
    """A tree that does not say which end is the parent."""

    class Node(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """A node."""

        parent_id: int | None = Field(default=None, foreign_key="nodes.id", index=False)
        parent: "Node" = Relationship(back_populates="children")
        children: list["Node"] = Relationship(back_populates="parent")

    return registered(Node)


def no_list_side(base: Any) -> Registry:
    """Several foreign keys, seen from the class without them."""

    class Vet(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """One side."""

        appointments: list["Appointment"] = Relationship()

    class Appointment(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """The other."""

        vet_id: int = Field(foreign_key="vets.id", index=False)
        substitute_id: int = Field(foreign_key="vets.id", index=False)

    return registered(Appointment, Vet)


def wrong_words(base: Any) -> Registry:
    """An argument that SQLAlchemy rejects."""

    class Vet(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """One side."""

    class Appointment(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """The other."""

        vet_id: int = Field(foreign_key="vets.id", index=False)
        vet: Vet = Relationship(sa_relationship_kwargs={"foreign_keys": "[Appointment.nothing]"})

    return registered(Vet, Appointment)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (several_keys, ["Appointment.vet: several foreign keys", '"foreign_keys": "[Appointment.vet_id]"']),
        (no_key, ["Appointment.vet: no foreign key connects", 'vet_id: int = Field(foreign_key="']),
        (no_class, ["Appointment: a Relationship names 'Vett'", "import its module"]),
        (no_other_side, ["back_populates names Vet.appointments", "add appointments to Vet as a Relationship"]),
        (same_way, ["Node.parent: both sides lead the same way", '"remote_side": "Node.id"']),
        (no_list_side, ["Vet.appointments: several foreign keys", '"foreign_keys"']),
        (wrong_words, ["a Relationship: SQLAlchemy refuses it", "nothing"]),
    ],
)
def test_a_wrong_relationship_stops_the_start(
    base: type[SQLModel], wrong: Callable[[Any], Registry], words: list[str]
) -> None:
    """The message names the class, the relationship and the fix. The start fails, not the first login."""
    with pytest.raises(RegistrationError) as refused:
        configure_mappers([wrong(base)])
    told = str(refused.value)
    assert all(word in told for word in words), told
    assert "Background on" not in told
    assert "site-packages" not in "".join(traceback.format_exception(refused.value))


def test_right_relationships_are_left_as_they_are(base: Any) -> None:
    """Configuring them twice does nothing."""

    class Vet(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """One side."""

    class Appointment(IntegerKey, base, table=True):  # type: ignore[misc]  # the base is the test's own
        """The other."""

        vet_id: int = Field(foreign_key="vets.id", index=False)
        vet: Vet = Relationship()

    registry = registered(Vet, Appointment)
    configure_mappers([registry])
    configure_mappers([registry])


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the settings of the machine."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def start(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], **settings: str) -> str:
    """Return the output of a start that fails, in this process."""
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        serve.application()
    assert ended.value.code == 3  # uvicorn's code for a worker that failed to start
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"ENVIRONMENT": "production"}, "set JWT_SECRET outside development"),
        ({"WORKER_THREADS": "none"}, "WORKER_THREADS Input should be a valid integer"),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL is no URL"),
        ({"DATABASE_URL": "sqlite://"}, "DATABASE_URL: an in-memory SQLite"),
    ],
)
@pytest.mark.usefixtures("bare_environment")
def test_an_invalid_setting_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: dict[str, str], words: str
) -> None:
    """Without a traceback."""
    told = start(monkeypatch, capsys, **settings)
    assert told.startswith("Rowhouse cannot start. ")
    assert (words in told, told.count("\n")) == (True, 1), told


@pytest.mark.usefixtures("bare_environment")
def test_a_misspelt_setting_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], databases: Databases
) -> None:
    """It stops the server, and the migration before it. Lines of other programs do not."""
    url = shop_database(databases, "sqlite")
    Path(".env").write_text("SENTRY_DSN=https://example.com\nHOST=127.0.0.1\nWORKER_THREAD=4\n")
    wanted = ".env sets WORKER_THREAD, which is no setting; did you mean WORKER_THREADS?"
    assert wanted in start(monkeypatch, capsys, DATABASE_URL=url)
    Path("alembic.ini").touch()
    assert migrate.run(["--start"]) == 1
    assert wanted in capsys.readouterr().err


@pytest.mark.usefixtures("bare_environment")
def test_the_address_may_stand_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment overrides it, and a word of the command line overrides both."""
    monkeypatch.delenv("HOST", raising=False)
    monkeypatch.delenv("PORT", raising=False)
    assert address_of() == ("127.0.0.1", 8000)
    Path(".env").write_text("HOST=0.0.0.0\nPORT=8002\n")
    assert address_of() == ("0.0.0.0", 8002)  # noqa: S104  nothing listens
    monkeypatch.setenv("PORT", "8003")
    assert address_of() == ("0.0.0.0", 8003)  # noqa: S104  as above
    assert address_of("--port", "8004", "--host", "::1") == ("::1", 8004)


def test_the_number_of_workers_and_the_proxies_may_stand_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or in `.env`. A command line overrides both. An empty FORWARDED_ALLOW_IPS believes no proxy."""
    monkeypatch.chdir(tmp_path)
    for name in ("WORKERS", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS"):
        monkeypatch.delenv(name, raising=False)
    assert serve.server_options([])["workers"] is None
    Path(".env").write_text("WORKERS=3\nFORWARDED_ALLOW_IPS=10.0.0.1\n")
    options = serve.server_options([])
    assert (options["workers"], options["forwarded_allow_ips"]) == (3, "10.0.0.1")
    monkeypatch.setenv("WORKERS", "2")
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "")
    options = serve.server_options([])
    assert (options["workers"], options["forwarded_allow_ips"]) == (2, "")
    assert serve.server_options(["--workers", "4"])["workers"] == 4


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("PORT", "80x", "PORT=80x is not a port: write a number from 1 to 65535."),
        ("PORT", "99999", "PORT=99999 is not a port: write a number from 1 to 65535."),
        ("PORT", "-1", "PORT=-1 is not a port: write a number from 1 to 65535."),
        ("WORKERS", "many", "WORKERS=many is not a number of processes: write a number from 1 to 1000."),
    ],
)
def test_a_number_that_is_none_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str, said: str
) -> None:
    """It names the variable, for no option was typed."""
    monkeypatch.setenv(name, value)
    assert serve.main([]) == 1
    assert capsys.readouterr().err == f"Rowhouse cannot start. {said}\n"


def test_an_option_that_is_no_port_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """A word is uvicorn's to refuse, by the name of our command; a number that no port has is not."""
    assert serve.main(["--port", "70000"]) == 1
    assert capsys.readouterr().err == "Rowhouse cannot start. 70000 is not a port: write a number from 1 to 65535.\n"
    assert serve.main(["--port", "80x"]) == 2
    assert "rowhouse run" in capsys.readouterr().err


def address_of(*arguments: str) -> tuple[str, int]:
    """Return where the server would listen."""
    options = serve.server_options(arguments)
    return options["host"], options["port"]


def test_an_address_that_cannot_be_used_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """A taken port, and an address of another machine. A socket that the caller gives is not looked at."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert serve.main(["--host", "127.0.0.1", "--port", str(port)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"Rowhouse cannot start. Port {port} of 127.0.0.1 is taken by another program.")
    assert serve.main(["--host", "192.0.2.1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("Rowhouse cannot start. The server cannot listen on port 8000 of 192.0.2.1")
    assert said.count("\n") == 1
    assert serve.unusable_address(serve.server_options(["--uds", "/nowhere", "--host", "192.0.2.1"])) is None


@pytest.mark.usefixtures("bare_environment")
def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the sentence."""
    assert "Traceback" in start(monkeypatch, capsys, DATABASE_URL="sqlite://", LOG_LEVEL="debug")


@pytest.mark.usefixtures("bare_environment", "_migrations_count")
def test_an_error_that_waiting_does_not_fix_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], databases: Databases, backend: str
) -> None:
    """A database that was never migrated, and one that does not exist."""
    copy_migrations(Path.cwd())
    quiet = {"LOG_LEVEL": "error"}
    told = start(monkeypatch, capsys, DATABASE_URL=databases.empty(backend), **quiet)
    assert "The database was never migrated" in told
    assert "alembic upgrade heads" in told
    told = start(monkeypatch, capsys, DATABASE_URL=databases.url("postgresql", "nowhere"), **quiet)
    assert "It says: " in told
    assert 'database "nowhere" does not exist. Look at DATABASE_URL.' in told


def _refusing(listener: socket.socket, state: str, message: str) -> None:
    """Behave like a PostgreSQL that rejects every connection, until the listener is closed."""
    fields = [b"SFATAL", b"VFATAL", b"C" + state.encode(), b"M" + message.encode()]
    body = b"\0".join(fields) + b"\0\0"
    answer = b"E" + struct.pack("!i", len(body) + 4) + body
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            with client:
                while struct.unpack("!ii", client.recv(1000)[:8])[1] in (80877103, 80877104):
                    client.sendall(b"N")  # neither TLS nor GSSAPI
                client.sendall(answer)


@pytest.mark.parametrize(
    ("state", "message", "ends"),
    [
        ("28P01", 'password authentication failed for user "app"', True),
        ("28000", 'no pg_hba.conf entry for host "10.0.0.1", user "app"', True),
        ("57P03", "the database system is starting up", False),
        ("XX000", 'invalid sslmode value: "on"', True),
        ("53300", "sorry, too many clients already", False),
    ],
)
@pytest.mark.usefixtures("bare_environment")
def test_what_postgresql_says_to_a_start(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    state: str,
    message: str,
    ends: bool,  # noqa: FBT001  a case
) -> None:
    """A wrong password ends it, with PostgreSQL's message and without the password.

    A database that is starting does not.
    """
    with kept_logging(), socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_refusing, args=(listener, state, message), daemon=True).start()
        port = listener.getsockname()[1]
        monkeypatch.setenv("DATABASE_URL", f"postgresql://app:hidden@127.0.0.1:{port}/shop")
        monkeypatch.setenv("LOG_LEVEL", "warning")
        if ends:
            told = start(monkeypatch, capsys)
            assert "Look at DATABASE_URL." in told
        else:
            app = serve.application()
            app.state.runner.close()
            app.state.database.dispose()
            told = capsys.readouterr().err
        listener.shutdown(socket.SHUT_RDWR)
    assert message in told.replace('\\"', '"')
    assert "hidden" not in told


@pytest.mark.usefixtures("bare_environment")
def test_a_database_that_is_only_down_stops_no_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """`/ready` is 200 when it is back."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://app@127.0.0.1:1/shop")
    monkeypatch.setenv("LOG_LEVEL", "error")
    monkeypatch.setenv("HEADER_SECONDS", "7")
    monkeypatch.setattr(Connection, "head_seconds", 10)
    app = serve.application()
    app.state.runner.close()
    app.state.database.dispose()
    assert Connection.head_seconds == 7


def test_a_registration_is_explained_with_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last line of the project's own code."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RegistrationError) as engine:
        Registry("/api/v1").register(Record)
    assert re.fullmatch(r"RegistrationError: Record is not a table: .*", serve.explained(engine.value))
    own = compile("raise ValueError('registered twice')", str(tmp_path / "backend" / "app" / "api.py"), "exec")
    with pytest.raises(ValueError, match="twice") as refused:
        exec(own, {})  # noqa: S102  a line of the project's own that fails
    assert serve.explained(refused.value).endswith("registered twice (backend/app/api.py, line 1)")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("from own.first import First", "First"),
        ("import own.first as first\nfirst.First", "First"),
        ("import own.first\nown.first.First", "first"),
    ],
)
def test_two_modules_that_import_each_other_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str
) -> None:
    """With the way out; Python's own words are of an internal state."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    package = tmp_path / "own"
    package.mkdir()
    (package / "first.py").write_text("import own.second\n\n\nclass First: ...\n")
    (package / "second.py").write_text(f"{text}\n")
    with pytest.raises(serve.IMPORT_ERRORS) as caught:
        import_module("own.first")
    sys.modules.pop("own")
    told = serve.explained(caught.value)
    last = text.count("\n") + 1
    assert told.startswith(f"own/second.py, line {last} and own.first import each other, so that {name} does not")
    assert told.endswith('and put the names of its classes into quotes, such as list["Book"].')


def test_every_invalid_setting_is_named() -> None:
    """In one message."""
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"worker_threads": 0, "slo_ms": 0})
    told = serve.explained(refused.value)
    assert "WORKER_THREADS" in told
    assert "SLO_MS" in told


# An application of accounts alone, whose tables are those of the migrations.
BARE = """
from rowhouse import Registry, create_app, include_accounts

def make():
    registry = Registry()
    include_accounts(registry)
    return create_app(registry)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_command_ends_with_1(workers: str, tmp_path: Path) -> None:
    """With one sentence, for any number of workers."""
    (tmp_path / "bare.py").write_text(BARE)
    environment = {
        **os.environ,
        "DATABASE_URL": f"sqlite:///{tmp_path}/new.db",
        "LOG_LEVEL": "error",
        "ROWHOUSE_APP": "bare:make",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'backend'}",
    }
    command = [sys.executable, "-m", "rowhouse.cli.serve", "--port", "0", "--workers", workers]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=90, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr
    assert "Rowhouse cannot start. The database was never migrated" in done.stderr


def test_a_worker_that_has_failed_is_noticed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only after the minute in which it must respond."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # a supervisor replaces the handlers of its process
    supervisor = serve.Supervisor(uvicorn.Config("unused", timeout_worker_healthcheck=serve.WORKER_SECONDS), sockets=[])
    worker = Process(supervisor.config, [])
    process: Any = SimpleNamespace(is_alive=lambda: True, kill=bool, join=bool, exitcode=STARTUP_FAILURE, pid=1)
    worker.process = process  # it has closed its end of the pipe, but has not been reaped
    supervisor.processes = [worker]
    checking = threading.Thread(target=supervisor.keep_subprocess_alive, daemon=True)
    checking.start()
    checking.join(serve.WORKER_SECONDS / 3)
    assert supervisor.should_exit.is_set()


def test_the_options_are_uvicorns_own() -> None:
    """With the engine's defaults, which a command line may override."""
    options = serve.server_options(["--root-path", "/shop", "--header", "X-Served-By:me", "--access-log"])
    assert (options["app"], options["factory"]) == (serve.APPLICATION, True)
    assert (options["root_path"], options["headers"], options["access_log"]) == ("/shop", [["X-Served-By", "me"]], True)
    assert options["http"] == serve.CONNECTION
    assert options["timeout_worker_healthcheck"] == serve.WORKER_SECONDS


def test_reloading_is_uvicorns_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """For development."""
    given: list[Any] = []
    monkeypatch.setattr(uvicorn, "run", lambda **options: given.append(options["reload"]))
    assert (serve.main(["--reload", "--port", "0"]), given) == (0, [True])


class _Server:
    """A server that ends as the test sets it."""

    def __init__(self, outcome: BaseException | None, *, started: bool) -> None:
        self.outcome, self.started = outcome, started

    def run(self) -> None:
        """End."""
        if self.outcome is not None:
            raise self.outcome


@pytest.mark.parametrize(
    ("outcome", "started", "code"),
    [(None, True, 0), (None, False, 1), (KeyboardInterrupt(), True, 0), (SystemExit(3), False, 1)],
)
def test_the_exit_code(monkeypatch: pytest.MonkeyPatch, outcome: Any, started: bool, code: int) -> None:  # noqa: FBT001  cases
    """Of a server that has ended."""
    monkeypatch.setattr(serve, "Server", lambda _config: _Server(outcome, started=started))
    monkeypatch.setattr(uvicorn, "Config", lambda **_options: type("Config", (), {"workers": 1}))
    assert serve.main(["--port", "0"]) == code


def test_a_server_ready_to_serve_is_made(databases: Databases, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a migrated database."""
    monkeypatch.setenv("DATABASE_URL", shop_database(databases, "sqlite"))
    monkeypatch.setenv("LOG_LEVEL", "error")
    app = serve.application()
    assert app.state.settings.log_level == "error"
    app.state.runner.close()
    app.state.database.dispose()
