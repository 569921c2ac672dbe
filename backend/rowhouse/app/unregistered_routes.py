"""Rejects routes that were added to the application itself but need a registry, which determines their policies.

Reads routes and does not change them.
"""

from collections.abc import Iterable

from starlette.routing import BaseRoute

from rowhouse.http.dependencies import get_caller, get_session, get_unit
from rowhouse.http.dependency_tree import calls_of
from rowhouse.http.fastapi_internals import Dependant, iter_route_contexts
from rowhouse.http.routing import OneHopRoute

NEEDS_REGISTRY = frozenset({get_session, get_unit, get_caller})


def refuse_unregistered(routes: Iterable[BaseRoute]) -> None:
    """Reject routes that need a registry. Accept plain routes of FastAPI and Starlette.

    Raises:
        TypeError: for a route of `Router`, or one that takes a session, a unit, a caller or `crud_of`.
    """
    for found in iter_route_contexts(list(routes)):
        name = getattr(found.endpoint, "__qualname__", found.name)
        if isinstance(found.original_route, OneHopRoute):
            raise TypeError(
                f"{name} is on a Router that was added to the application, where its policy would be lost: "
                "give the Router to registry.include()"
            )
        dependant: Dependant | None = getattr(found, "dependant", None)
        if dependant is not None and any(_needs_registry(call) for call in calls_of(dependant)):
            raise TypeError(
                f"{name} takes a session, a unit, a caller or crud_of: declare it on rowhouse.http.routing.Router "
                "and give that to registry.include()"
            )


def _needs_registry(call: object) -> bool:
    return call in NEEDS_REGISTRY or hasattr(call, "entity")
