"""Checks a project: settings, registration, indexes, migrations, and what production still lacks: `rowhouse check`.

Changes nothing. An error makes the exit status 1; a note does not.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from dotenv import dotenv_values
from fastapi import FastAPI
from pydantic import ValidationError
from sqlmodel import select

from rowhouse.auth.models import ADMINISTRATOR, User
from rowhouse.cli.env_file import misspelt
from rowhouse.cli.errors import CommandError
from rowhouse.cli.migrate import UNDECIDED, Migrator, describe, differences, lacking, read_words
from rowhouse.cli.project import find_project
from rowhouse.cli.reports.loading import load
from rowhouse.cli.serve import explained
from rowhouse.core.errors import RowhouseError, message_of
from rowhouse.core.settings import Environment, Settings
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.health.readiness import StartRefusedError
from rowhouse.migrations.renames import Decisions
from rowhouse.registration.mappers import unregistered_classes
from rowhouse.registration.unimported_classes import modules_of, unimported_classes

PAGES = ("/docs", "/redoc", "/openapi.json")
OK, ERROR, NOTE = "ok", "error", "note"


@dataclass(frozen=True)
class Finding:
    """What a check found about one topic."""

    state: str
    topic: str
    text: str = ""

    def __str__(self) -> str:
        return f"{self.state:<6}{self.topic}{f': {self.text}' if self.text else ''}"


def run(*, production: bool) -> int:
    """Check the project of the working directory, and print the findings. Return 1 if one is an error."""
    errors = 0
    for finding in _findings(production=production):
        print(finding, flush=True)
        errors += finding.state == ERROR
    print(f"{errors} error{'s' if errors > 1 else ''}." if errors else "Nothing is wrong.")
    return int(errors > 0)


def _findings(*, production: bool) -> Iterator[Finding]:
    try:
        settings = Settings()
    except ValidationError as error:
        yield Finding(ERROR, "settings", explained(error))
        return
    try:
        app = load()
    except CommandError as error:
        yield Finding(ERROR, "registration", str(error))
        return
    yield from _or_ok("settings", misspelt())
    count = sum(len(registry.registrations) for registry in app.state.registries)
    entities = f"{count} entit{'y' if count == 1 else 'ies'}"
    yield Finding(OK, "registration", f"{entities}, {_operations(app)} operations")
    owners = (text for registry in app.state.registries for text in registry.owners_without_accounts())
    modules = {find_project().module, *modules_of(app.state.registries)}
    notes = (*owners, *unregistered_classes(app.state.registries), *unimported_classes(modules))
    yield from (Finding(NOTE, "registration", text) for text in notes)
    yield from _or_ok("indexes", _missing_indexes(app))
    yield from _or_ok("migrations", _migrations(settings, app.state.metadata))
    if production:
        yield from _or_ok("production", _production(app, settings))
        yield from (Finding(NOTE, "production", text) for text in _notes(app, settings))


def _or_ok(topic: str, texts: Iterator[str]) -> Iterator[Finding]:
    """Yield a finding for each error of a topic. Without errors, yield one that says ok."""
    is_ok = True
    for text in texts:
        is_ok = False
        yield Finding(ERROR, topic, text)
    if is_ok:
        yield Finding(OK, topic)


def _operations(app: FastAPI) -> int:
    return sum(len(item) for item in app.openapi()["paths"].values())


def _missing_indexes(app: FastAPI) -> Iterator[str]:
    found = [sentence for registry in app.state.registries for sentence in registry.missing_indexes()]
    yield from dict.fromkeys(found)


def _migrations(settings: Settings, metadata: sa.MetaData) -> Iterator[str]:
    directory = Path.cwd()
    if not (directory / "alembic.ini").exists():
        yield "there is no alembic.ini; run rowhouse migrate in development"
        return
    config = Config(directory / "alembic.ini")
    config.attributes["metadata"] = metadata
    logging.getLogger("alembic").setLevel(logging.WARNING)  # the application has configured the log, and shows it
    migrator = Migrator(directory, config, settings, read_words(["--check"]))
    try:
        missing = lacking(migrator)
        if missing:
            yield f"the database lacks {', '.join(one.revision for one in missing)}; run {migrator.command}"
            return
        changes = differences(migrator, Decisions())
    except UNDECIDED as error:
        yield f"the models differ from the database; run {migrator.command}. {error}"
    except Exception as error:  # noqa: BLE001  a migration may raise anything
        yield explained(error)
    else:
        if changes.operations:
            what = f" ({describe(changes.operations)})" if changes.only_adds else ""
            yield f'the models differ from the database{what}; run {migrator.command} "what changed"'


def _production(app: FastAPI, settings: Settings) -> Iterator[str]:
    """Yield everything that would stop a start in production, or that production lacks."""
    if settings.environment is Environment.DEVELOPMENT:
        yield "ENVIRONMENT is development; set ENVIRONMENT=production in the environment of the servers"
    try:
        Settings(environment=Environment.PRODUCTION)
    except ValidationError as error:
        yield from (message_of(entry) for entry in error.errors())
    # The development JWT_SECRET was reported; what follows does not need another one.
    strict = settings.model_copy(update={"environment": Environment.PRODUCTION})
    database = Database(strict)
    try:
        with UnitOfWork(database, write=False) as unit:
            for check in app.state.startup_checks:
                try:
                    check(unit, settings=strict)
                except StartRefusedError as error:
                    yield str(error)
            if settings.admin_email is None and not _has_administrator(unit):
                yield "no account is an administrator; run rowhouse create-admin, or set ADMIN_EMAIL and ADMIN_PASSWORD"
    except RowhouseError as error:
        yield f"the accounts cannot be read: {error}"
    finally:
        database.dispose()


def _has_administrator(unit: UnitOfWork) -> bool:
    active: Any = select(User.id).where(User.role == ADMINISTRATOR, User.is_active).limit(1)
    return unit.session.exec(active).first() is not None


def _notes(app: FastAPI, settings: Settings) -> Iterator[str]:
    """Yield the notes: deviations that may be intended."""
    paths = {getattr(route, "path", "") for route in app.routes}
    pages = [page for page in PAGES if page in paths]
    yield f"anyone can open {', '.join(pages)}; close them in the proxy if that is not meant"
    if settings.metrics and settings.metrics_token is None:
        yield "METRICS_TOKEN is not set, so /metrics is closed in production; set it with openssl rand -hex 32"
    if settings.database_url.startswith("sqlite"):
        yield "DATABASE_URL is a SQLite file, which one machine can serve; PostgreSQL serves several"
    if settings.rate_limit_storage_url == "memory://":
        yield "RATE_LIMIT_STORAGE_URL is memory://, so each process counts failed logins on its own"
    if not settings.drain_seconds:
        yield "DRAIN_SECONDS is 0; behind a load balancer set it to 10"
    if {**dotenv_values(".env"), **os.environ}.get("FORWARDED_ALLOW_IPS") is None:
        yield "FORWARDED_ALLOW_IPS is not set; behind a proxy name it there, or every client has the proxy's address"
