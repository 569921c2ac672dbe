"""Turns the value that a hand-written route returns into its response, by the options of its decorator.

Runs in the worker thread. Reads the route and does not change it.
"""

import inspect
from typing import Any

from fastapi.encoders import jsonable_encoder
from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from starlette.responses import JSONResponse, Response

from rowhouse.http.fastapi_internals import given

NO_BODY = (204, 205, 304)


class Renderer:
    """Makes the response of one route."""

    def __init__(self, route: APIRoute) -> None:
        self._name = getattr(route.endpoint, "__qualname__", route.name)
        self._adapter = TypeAdapter(route.response_model) if route.response_model else None
        returns_none = inspect.signature(route.endpoint).return_annotation in (None, "None")
        self._accepts_any = route.response_model is None and not returns_none
        self._class = given(route.response_class)
        self._status = route.status_code
        self._options: dict[str, Any] = {
            "include": route.response_model_include,
            "exclude": route.response_model_exclude,
            "by_alias": route.response_model_by_alias,
            "exclude_unset": route.response_model_exclude_unset,
            "exclude_defaults": route.response_model_exclude_defaults,
            "exclude_none": route.response_model_exclude_none,
        }

    def response(self, result: Any) -> Response:
        """Return a `Response` as it is, and any other value with the route's class, status and model."""
        if isinstance(result, Response):
            return result
        if self._class is not None:
            return self._of_class(self._class, result)
        if self._accepts_any and result is not None:
            return JSONResponse(jsonable_encoder(result), self._status or 200)
        if self._adapter is None:
            if result is not None:
                raise TypeError(f"{self._name} returned a value: give its route a response_model")
            return Response(status_code=self._status or 200)
        checked = self._adapter.validate_python(result, from_attributes=True)
        return Response(
            self._adapter.dump_json(checked, **self._options), self._status or 200, media_type="application/json"
        )

    def _of_class(self, kind: type[Response], result: Any) -> Response:
        """Return a response of a class. Without a status of the route's own it has that of the class, as in FastAPI."""
        if self._adapter is None:
            content = jsonable_encoder(result)
        else:
            checked = self._adapter.validate_python(result, from_attributes=True)
            content = self._adapter.dump_python(checked, mode="json", **self._options)
        response = kind(content) if self._status is None else kind(content, status_code=self._status)
        if response.status_code in NO_BODY:
            response.body = b""
            del response.headers["content-length"]
        return response
