"""`create_app`: assembles an application from a registry and its settings.

Example:
    app = create_app(registry, title="Shop")
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from inspect import isawaitable
from itertools import chain
from typing import Any, Protocol, cast

import structlog
from fastapi import FastAPI
from opentelemetry.trace import TracerProvider
from sqlalchemy import MetaData
from sqlmodel import SQLModel
from starlette.types import ASGIApp

from rowhouse.app.admin_pages import add_admin
from rowhouse.app.application import Application
from rowhouse.app.docs_pages import add_pages
from rowhouse.app.error_handlers import add_error_handlers
from rowhouse.app.metrics_page import add_metrics_page
from rowhouse.app.openapi_document import add_document
from rowhouse.app.request_middleware import RequestMiddleware
from rowhouse.app.warm_up import compile_statements, open_connection
from rowhouse.auth.authenticator import Authenticator
from rowhouse.auth.service import accounts, ensure_administrator, subject_of
from rowhouse.core.collector import paused_collector
from rowhouse.core.errors import RowhouseError
from rowhouse.core.logging_config import configure_logging
from rowhouse.core.problems import problem_response
from rowhouse.core.settings import Settings
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.health.drain import Drain
from rowhouse.health.migration_state import Revisions
from rowhouse.health.readiness import DatabaseCheck, Readiness
from rowhouse.health.required_tables import required_tables
from rowhouse.health.routes import add_health_routes
from rowhouse.history.session_events import track_sessions_of
from rowhouse.http.route_tree import RouteTree
from rowhouse.metrics.recorder import Metrics
from rowhouse.registration.build import Cruds, build
from rowhouse.registration.line import with_known_options
from rowhouse.registration.mappers import configure_mappers, unregistered_classes
from rowhouse.registration.registry import Registry, tags
from rowhouse.registration.unimported_classes import modules_of, unimported_classes
from rowhouse.requests.cors import Cors
from rowhouse.requests.rate_limit import RateLimit
from rowhouse.requests.throttling import AttemptThrottle
from rowhouse.workers.runner import RequestRunner

log = structlog.get_logger("start")
START_SECONDS, CLOSE_SECONDS = 10.0, 2.0
# Turn off FastAPI's pages and document: the engine has its own.
OWN_PAGES: Mapping[str, Any] = {"openapi_url": None, "docs_url": None, "redoc_url": None, "redirect_slashes": False}


class StartupCheck(Protocol):
    """A check that a project runs before its application serves the first request.

    Example:
        def require_currency(unit: UnitOfWork, *, settings: Settings) -> None:
            if not unit.session.exec(select(Currency.id).limit(1)).first():
                raise StartRefusedError("The table currencies is empty; run python -m shop.currencies first.")
    """

    def __call__(self, unit: UnitOfWork, *, settings: Settings) -> None:
        """Raise `StartRefusedError` to stop the start."""


@with_known_options
@paused_collector()
def create_app(  # noqa: PLR0913  all but the registry by keyword
    registry: Registry | Sequence[Registry],
    *,
    settings: Settings | None = None,
    metadata: MetaData = SQLModel.metadata,
    title: str = "API",
    description: str = "",
    version: str = "0.1.0",
    license_info: Mapping[str, str] | None = None,
    startup_checks: Sequence[StartupCheck] = (),
    tracer_provider: TracerProvider | None = None,
) -> FastAPI:
    """Return the ASGI application that serves a registry, or several registries, from one database.

    Example:
        app = create_app(registry, title="Shop", startup_checks=[refuse_demo_accounts])

    The first of several registries is the API that `/docs` signs in at. Its names stay as they are in OpenAPI. `title`,
    `description`, `version` and `license_info` are OpenAPI's. Each of `startup_checks` is called with a unit of work
    and the settings before the application serves its first request. It raises `StartRefusedError` to stop the start.
    `tracer_provider` records traces; by default OpenTelemetry's provider of the process does, or what `OTEL_*` name.

    Raises:
        pydantic.ValidationError: at start-up, for an invalid setting.
        RegistrationError, ValueError: at start-up, for an invalid registration.
    """
    settings = settings or Settings()
    configure_logging(settings)
    metrics = Metrics(directory=settings.metrics_directory) if settings.serves_metrics else None
    database = Database(settings, metadata, metrics=metrics)
    runner = RequestRunner(database, settings, Authenticator(settings))
    registries = [registry] if isinstance(registry, Registry) else list(registry)
    route_tree, cruds = _build(registries, database)
    drain = Drain(settings)
    prepare = partial(_prepare, settings=settings, checks=startup_checks)
    all_cruds = [crud for found in cruds.values() for crud in found.values()]
    has_accounts = accounts.name in metadata.tables
    compile_all = partial(compile_statements, all_cruds, has_accounts=has_accounts)
    readiness = Readiness(
        runner, _database_check(registries, metadata), drain,
        prepare=prepare, settings=settings,
        warm_up=partial(open_connection, cruds=all_cruds, has_accounts=has_accounts),
    )  # fmt: skip
    app = Application(
        route_tree, outermost=_outermost(settings, drain, metrics), metrics=metrics, tracer_provider=tracer_provider,
        title=title, version=version, description=description, openapi_tags=tags(registries),
        license_info=dict(license_info) if license_info else None,
        lifespan=_lifespan(readiness, drain, runner, registries, compile_all), **OWN_PAGES,
    )  # fmt: skip
    app.state.settings, app.state.database, app.state.runner = settings, database, runner
    app.state.throttle, app.state.cruds = AttemptThrottle(settings, metrics=metrics), cruds
    app.state.readiness, app.state.registries, app.state.metadata = readiness, tuple(registries), metadata
    app.state.startup_checks, app.state.metrics = tuple(startup_checks), metrics
    _add_own_routes(app, route_tree, settings)
    _add_middleware(app, settings, [registry.prefix for registry in registries])
    app.check_paths()
    return app


def _build(registries: Sequence[Registry], database: Database) -> tuple[RouteTree, dict[str, Cruds]]:
    """Build the routes and the `CRUDBase` objects, and record what sessions change."""
    configure_mappers(registries)
    route_tree, cruds, tracked = build(registries, database.dialect)
    track_sessions_of(database, tracked)
    return route_tree, cruds


def _database_check(registries: Sequence[Registry], metadata: MetaData) -> DatabaseCheck:
    """Return the check of `/ready`: of the migrations, unless the tables are not the project's, and of the tables."""
    revisions = Revisions.of_the_code() if metadata is SQLModel.metadata else None
    return DatabaseCheck(revisions, required_tables(registries, metadata))


def _add_own_routes(app: Application, route_tree: RouteTree, settings: Settings) -> None:
    """Add the probes, the metrics, the pages, the document, the error responses and the administration pages."""
    add_health_routes(app)
    if app.state.metrics is not None:
        add_metrics_page(app, app.state.metrics)
    add_pages(app)
    add_error_handlers(app)
    add_document(app, route_tree, slo_ms=settings.slo_ms, rate_limited=settings.rate_limit is not None)
    add_admin(app, app.state.registries, settings)


def _lifespan(
    readiness: Readiness,
    drain: Drain,
    runner: RequestRunner,
    registries: Sequence[Registry],
    compile_all: Callable[[], None],
) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        cast("Application", app).decide_telemetry()
        advice = [(*registry.missing_indexes(), *registry.owners_without_accounts()) for registry in registries]
        for warning in dict.fromkeys(chain.from_iterable(advice)):
            log.warning(warning)
        for forgotten in unimported_classes(modules_of(registries)):
            log.warning(forgotten)
        for note in unregistered_classes(registries):
            log.info(note)
        compile_all()
        drain.install_handlers()
        await readiness.start(seconds=START_SECONDS)
        await _run_handlers(app.router.on_startup)
        # The objects of the start stay alive. A garbage collection of them all would block every request for 0.1 s.
        gc.freeze()
        yield
        try:
            await _run_handlers(app.router.on_shutdown)
        finally:
            gc.unfreeze()
            readiness.close()
            drain.remove_handlers()
            # In a thread, so that the event loop can send the last error responses meanwhile.
            if await asyncio.to_thread(runner.close, seconds=CLOSE_SECONDS):
                app.state.database.dispose()
            else:
                log.warning("a thread still waits for the database; the process ends without it")

    return lifespan


async def _run_handlers(handlers: Sequence[Callable[[], Any]]) -> None:
    """Run what the project has added with `app.on_event` or `add_event_handler`."""
    for handler in handlers:
        result = handler()
        if isawaitable(result):
            await result


def _prepare(unit: UnitOfWork, *, settings: Settings, checks: Sequence[StartupCheck]) -> None:
    """Create the first administrator, then run the project's own checks."""
    if not settings.read_only:
        ensure_administrator(unit, settings=settings)
    for check in checks:
        check(unit, settings=settings)


def _add_middleware(app: FastAPI, settings: Settings, prefixes: Sequence[str]) -> None:
    """Add the middleware that the settings require, the innermost first."""
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


def _outermost(settings: Settings, drain: Drain, metrics: Metrics | None) -> Callable[[ASGIApp], ASGIApp]:
    """Return the function that wraps the application in `RequestMiddleware`, which responds to unexpected errors."""
    last_resort: ASGIApp = problem_response(RowhouseError())
    if settings.cors_origins:
        last_resort = Cors(last_resort, origins=settings.cors_origins)
    return partial(
        RequestMiddleware,
        access_log=settings.access_log,
        last_resort=last_resort,
        drain=drain,
        metrics=metrics,
    )
