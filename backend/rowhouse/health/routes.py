"""The routes `/health` and `/ready`: whether the process runs, and whether it can serve."""

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from rowhouse.core.errors import UnavailableError
from rowhouse.core.problems import problem_response
from rowhouse.health.readiness import Readiness


def add_health_routes(app: FastAPI) -> None:
    """Add both routes, at the root."""

    async def health(_request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        readiness: Readiness = request.app.state.readiness
        failure = await readiness.failure()
        if failure is not None:
            return problem_response(UnavailableError(failure.detail))
        return JSONResponse({"status": "ready", **readiness.note})

    app.add_route("/health", health, methods=["GET"], include_in_schema=False)
    app.add_route("/ready", ready, methods=["GET"], include_in_schema=False)
