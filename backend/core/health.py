"""`/health` and `/ready`: whether the process lives, and whether it can serve."""

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic.config import Config
from alembic.script import ScriptDirectory
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from backend.core.db import UnitOfWork
from backend.core.door import Door
from backend.core.errors import RowhouseError, UnavailableError, problem_response

MIGRATIONS = Path(__file__).resolve().parents[2] / "alembic"
VERSION = sa.table("alembic_version", sa.column("version_num", sa.String()))
SELECT_VERSION = sa.select(VERSION.c.version_num)


def newest_revision() -> str | None:
    """The revision that the code needs; None where the migrations are not beside it."""
    if not MIGRATIONS.is_dir():
        return None
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return ScriptDirectory.from_config(config).get_current_head()


def add_health_routes(app: FastAPI) -> None:
    """Add both, at the root."""
    needed = newest_revision()

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    def stored_revision(unit: UnitOfWork) -> Any:
        return unit.fetch(SELECT_VERSION, {})

    async def ready(request: Request) -> Response:
        door: Door = request.app.state.door
        try:
            rows = await door.run(stored_revision, write=False)
        except RowhouseError:
            return problem_response(UnavailableError("The database does not answer or was never migrated."))
        if needed is not None and [row["version_num"] for row in rows] != [needed]:
            return problem_response(UnavailableError("The database is not at the newest migration."))
        return JSONResponse({"status": "ready"})

    app.add_route("/health", health, methods=["GET"], include_in_schema=False)
    app.add_route("/ready", ready, methods=["GET"], include_in_schema=False)
