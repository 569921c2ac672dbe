"""The dependency tree of a hand-written route, and how its plain functions wait for the worker thread.

FastAPI collects the arguments on the event loop. `Resolver` calls the functions in the worker thread. Trees are copied,
never changed, because two applications may share one route. Imports nothing of the database.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from rowhouse.http.fastapi_internals import Dependant, ModelField, get_dependant

DependencyCall = Callable[..., Any]
Overrides = Mapping[Any, Any]
GUARD = "_rowhouse_guard_"


class Deferred:
    """A dependency whose call waits for the worker thread."""

    __slots__ = ("arguments", "call")

    def __init__(self, call: DependencyCall, arguments: dict[str, Any]) -> None:
        self.call = call
        self.arguments = arguments


class Resolver:
    """Calls deferred dependencies, each once for a request.

    `stack` closes those that `yield`, which only overrides may do.
    """

    __slots__ = ("_done", "_stack")

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._done: dict[int, Any] = {}

    def value(self, value: Any) -> Any:
        """Return the result of a deferred dependency, or any other value as it is."""
        if not isinstance(value, Deferred):
            return value
        key = id(value)
        if key not in self._done:
            arguments = {name: self.value(argument) for name, argument in value.arguments.items()}
            self._done[key] = self._call(value.call, arguments)
        return self._done[key]

    def _call(self, call: DependencyCall, arguments: dict[str, Any]) -> Any:
        if inspect.isgeneratorfunction(_function(call)):
            return self._stack.enter_context(contextmanager(call)(**arguments))
        return call(**arguments)


def calls_of(dependant: Dependant) -> Iterator[Any]:
    """Yield the functions that a tree depends on, as they were declared, from the top down."""
    for dependency in dependant.dependencies:
        yield dependency.call
        yield from calls_of(dependency)


def with_parameters(dependant: Dependant, change: Callable[[ModelField], ModelField]) -> Dependant:
    """Return a copy of a tree in which `change` has replaced each path and query parameter."""
    return replace(
        dependant,
        path_params=[change(field) for field in dependant.path_params],
        query_params=[change(field) for field in dependant.query_params],
        dependencies=[with_parameters(dependency, change) for dependency in dependant.dependencies],
    )


def overridden(dependant: Dependant, overrides: Overrides) -> Dependant:
    """Return a copy of a tree with the overrides of `app.dependency_overrides`, also within dependencies of overrides.

    An override may depend on the function that it replaces. It then gets the original.
    """
    return replace(dependant, dependencies=[_replaced(one, overrides) for one in dependant.dependencies])


def _replaced(dependency: Dependant, overrides: Overrides) -> Dependant:
    call = overrides.get(dependency.call, dependency.call)
    if call is dependency.call:
        return overridden(dependency, overrides)
    made = get_dependant(
        path=dependency.path or "/",
        call=call,
        name=dependency.name,
        own_oauth_scopes=dependency.own_oauth_scopes,
        parent_oauth_scopes=dependency.parent_oauth_scopes,
        use_cache=dependency.use_cache,
    )
    return overridden(made, {key: value for key, value in overrides.items() if key is not dependency.call})


def takes_body(dependant: Dependant) -> bool:
    """Return True if a route with this tree reads a body."""
    return bool(dependant.body_params) or any(takes_body(one) for one in dependant.dependencies)


def deferred(dependant: Dependant, *, may_yield: bool = False) -> Dependant:
    """Return a copy of a tree in which FastAPI collects the arguments of every plain `def` and does not call it.

    Raises:
        TypeError: at start-up, for a dependency that cannot run in the worker thread. The message says how to fix it.
    """
    wrappers: dict[Any, DependencyCall] = {}
    made = _deferred(dependant, wrappers, may_yield=may_yield)
    for position, guard in enumerate(made.dependencies):
        # FastAPI drops the value of a dependency that no parameter takes, and a deferred one would never be called.
        guard.name = guard.name or f"{GUARD}{position}"
    return made


def _deferred(dependant: Dependant, wrappers: dict[Any, DependencyCall], *, may_yield: bool) -> Dependant:
    below = []
    for dependency in dependant.dependencies:
        made = _deferred(dependency, wrappers, may_yield=may_yield)
        call: Any = dependency.call
        _check(call, dependency, may_yield=may_yield)
        if not _is_async(call):
            made.call = wrappers.setdefault(call, _deferring(call))
        below.append(made)
    return replace(dependant, dependencies=below)


def _check(call: Any, dependency: Dependant, *, may_yield: bool) -> None:
    name = getattr(call, "__qualname__", type(call).__qualname__)
    function = _function(call)
    if inspect.isasyncgenfunction(function) or (inspect.isgeneratorfunction(function) and not may_yield):
        raise TypeError(
            f"{name} is a `yield` dependency: it would hold its resource across threads. "
            "Use SessionDep, or open and close the resource inside the endpoint."
        )
    if _is_async(call):
        waiting = [one.call for one in dependency.dependencies if not _is_async(one.call)]
        if waiting:
            first = getattr(waiting[0], "__qualname__", waiting[0])
            raise TypeError(
                f"{name} is `async` and depends on {first}, which runs in the worker thread. "
                f"Write {name} as a plain `def`."
            )
    elif dependency.concurrency is not None:
        raise TypeError(
            f"max_concurrency of {name} has no effect in a worker thread: the setting WORKER_THREADS limits concurrency"
        )


def _is_async(call: Any) -> bool:
    """Return True if FastAPI awaits the call on the event loop."""
    return inspect.iscoroutinefunction(_function(call))


def _function(call: Any) -> Any:
    """Return the function that runs: the call itself, or the `__call__` of an instance."""
    return call if inspect.isroutine(call) or inspect.isclass(call) or isinstance(call, partial) else call.__call__


def _deferring(call: DependencyCall) -> DependencyCall:
    async def collect(**arguments: Any) -> Deferred:
        return Deferred(call, arguments)

    return collect
