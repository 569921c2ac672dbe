"""Assembles the application from its settings and its table of contents; the only place that does.

    python -m backend.serve

starts it, and so does `uvicorn backend.main:create_app --factory`, without the limits that are `backend.serve`'s.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import structlog
from fastapi import FastAPI
from sqlalchemy import MetaData
from sqlmodel import SQLModel
from starlette.types import ASGIApp

from backend import __version__
from backend.api import registry as table_of_contents
from backend.auth.service import authenticate, ensure_administrator, subject_of
from backend.core.application import Application
from backend.core.config import Settings
from backend.core.cors import Cors
from backend.core.db import Database, UnitOfWork
from backend.core.document import add_document
from backend.core.door import Door
from backend.core.drain import Drain
from backend.core.error_handlers import add_error_handlers
from backend.core.errors import RowhouseError, problem_response
from backend.core.health import add_health_routes
from backend.core.logs import configure_logging
from backend.core.middleware import Edge
from backend.core.pages import PATHS as PAGES
from backend.core.pages import add_pages
from backend.core.rate import RateLimit
from backend.core.readiness import Inspection, Readiness
from backend.core.revisions import Revisions
from backend.core.slowdown import Slowdown
from backend.crud.flushes import keep_in
from backend.crud.mappers import configure_mappers
from backend.crud.needs import needs_of
from backend.crud.registry import Registry, build, tags
from backend.demo.accounts import refuse_demo_accounts

DESCRIPTION = "A bookstore and a charging network on Rowhouse: every entity is one class and one line."
log = structlog.get_logger("start")
START_SECONDS, CLOSE_SECONDS = 10.0, 2.0
LICENSE = {"name": "Apache License 2.0", "identifier": "Apache-2.0"}


def create_app(
    settings: Settings | None = None,
    registry: Registry | Sequence[Registry] = table_of_contents,
    metadata: MetaData = SQLModel.metadata,
) -> FastAPI:
    """The ASGI application: one database, one door, every route of `registry`, or of several registries.

    The first of several is the API that `/docs` signs in at, and the one whose names stay as they are in OpenAPI.

    Raises:
        pydantic.ValidationError: at start-up, for a setting that does not hold.
        RegistrationError, ValueError: at start-up, for a registration that does not.
    """
    settings = settings or Settings()
    configure_logging(settings)
    database = Database(settings, metadata)
    door = Door(database, settings, partial(authenticate, settings=settings))
    registries = [registry] if isinstance(registry, Registry) else list(registry)
    configure_mappers(registries)
    directory, cruds, kept = build(registries, database.dialect)
    keep_in(database, kept)
    drain = Drain(settings)
    readiness = Readiness(
        door,
        Inspection(Revisions.of_the_code() if metadata is SQLModel.metadata else None, needs_of(registries, metadata)),
        drain,
        prepare=partial(_prepare_accounts, settings=settings),
        settings=settings,
    )
    app = Application(
        directory,
        edge=_edge(settings, drain),
        title="Rowhouse",
        version=__version__,
        description=DESCRIPTION,
        license_info=LICENSE,
        openapi_tags=tags(registries),
        lifespan=_lifespan(readiness, drain, door, registries),
        redirect_slashes=False,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    app.state.settings, app.state.database, app.state.door = settings, database, door
    app.state.slowdown, app.state.cruds = Slowdown(settings), cruds
    app.state.readiness = readiness
    add_health_routes(app)
    add_pages(app)
    add_error_handlers(app)
    _add_middleware(app, settings, [registry.prefix for registry in registries])
    add_document(app, directory, slo_ms=settings.slo_ms, rate_limited=settings.rate_limit is not None)
    app.check_paths()
    return app


def _lifespan(
    readiness: Readiness, drain: Drain, door: Door, registries: Sequence[Registry]
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        for warning in dict.fromkeys(warning for registry in registries for warning in registry.missing_indexes()):
            log.warning(warning)
        drain.watch()
        await readiness.start(seconds=START_SECONDS)
        # What is there now stays: a collector that looks through all of it would stop every request for a tenth of a second.
        gc.freeze()
        yield
        gc.unfreeze()
        readiness.close()
        drain.unwatch()
        # The loop goes on meanwhile, for those that are told that they are cut off.
        if await asyncio.to_thread(door.close, seconds=CLOSE_SECONDS):
            app.state.database.dispose()
        else:
            log.warning("a thread still waits for the database; the process ends without it")

    return lifespan


def _prepare_accounts(unit: UnitOfWork, *, settings: Settings) -> None:
    """Make the first administrator, and refuse accounts of the demo in production, that one among them."""
    if not settings.read_only:
        ensure_administrator(unit, settings=settings)
    refuse_demo_accounts(unit, settings=settings)


def _add_middleware(app: FastAPI, settings: Settings, prefixes: Sequence[str]) -> None:
    """Add the layers that the settings ask for, the innermost first."""
    if settings.rate_limit is not None:
        app.add_middleware(
            RateLimit,
            rate=settings.rate_limit,
            storage_url=settings.rate_limit_storage_url,
            prefixes=prefixes,
            subject_of=partial(subject_of, settings=settings),
        )
    if settings.cors_origins:
        app.add_middleware(Cors, origins=settings.cors_origins)


def _edge(settings: Settings, drain: Drain) -> Callable[[ASGIApp], ASGIApp]:
    last_resort: ASGIApp = problem_response(RowhouseError())
    if settings.cors_origins:
        last_resort = Cors(last_resort, origins=settings.cors_origins)
    return partial(Edge, access_log=settings.access_log, own_policy=PAGES, last_resort=last_resort, drain=drain)
