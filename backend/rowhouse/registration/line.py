"""The options of a registration line, their checks in order, and the `Resource` that follows from them."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar, cast

from sqlmodel import SQLModel

from rowhouse.core.policy import SIGNED_IN, Policy
from rowhouse.crud.base import CRUDBase
from rowhouse.entities.transition import Transition
from rowhouse.query.resource import Resource
from rowhouse.registration.checks import (
    check_exact_count_limit,
    check_extra_fields,
    check_history,
    check_key,
    check_no_overlap,
    check_operations,
    check_owner,
    check_policy,
    check_search,
    check_slo,
    check_table,
    check_texts,
    check_timestamps,
    check_verbs,
    columns_for,
    parameters,
    write_policy,
)
from rowhouse.registration.class_checks import check_class
from rowhouse.registration.default_checks import check_defaults
from rowhouse.registration.name_checks import check_filters
from rowhouse.registration.step_checks import check_steps
from rowhouse.schemas.columns import Column, RegistrationError
from rowhouse.schemas.derivation import derive

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def with_known_options(function: FunctionT) -> FunctionT:
    """Let a call with an unknown option name it and the one that is meant. Python names no class."""
    parameters = inspect.signature(function).parameters
    known = [name for name, parameter in parameters.items() if parameter.kind is inspect.Parameter.KEYWORD_ONLY]

    @wraps(function)
    def checked(*arguments: Any, **options: Any) -> Any:
        for option in options:
            if option not in parameters:
                model = "".join(f"{one.__name__}, " for one in arguments if isinstance(one, type))
                near = get_close_matches(option, known, n=1)
                fix = f"did you mean {near[0]}=?" if near else f"there are {', '.join(known)}"
                raise RegistrationError(f"{function.__name__}({model}{option}=...): there is no such option; {fix}")
        return function(*arguments, **options)

    return cast("FunctionT", checked)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """The options of one call of `Registry.register`, which explains them."""

    model: type[SQLModel]
    path: str
    crud: type[CRUDBase[Any]]
    operations: tuple[str, ...]
    read: Policy | None
    write: Policy | None
    owner: str | None
    search: tuple[str, ...]
    exact_count_limit: int | None
    soft_delete: bool
    history: bool
    slo_ms: int | None
    steps: Iterable[Transition[Any]]

    def resource(self) -> Resource:
        """Check the line, and return what the engine needs to know about the entity.

        Raises:
            RegistrationError: for the first rule that the line breaks.
        """
        check_table(self.model)
        check_class(self.model)
        check_texts(self.model)
        columns = columns_for(self.model, self.crud)
        self._check_callers(columns)
        self._check_rows(columns)
        self._check_operations()
        return Resource(
            model=self.model,
            path=self.path,
            columns=columns,
            schemas=derive(self.model, columns, owner=self.owner, extra_fields=self.crud.extra_fields),
            parameters=parameters(self.model, columns, self.search, self.crud),
            read=self.read or SIGNED_IN,
            write=write_policy(self.model, self.write, self.owner, is_written=self._is_written()),
            owner=self.owner,
            owner_only=self.owner is not None and self.read is None,
            exact_count_limit=self.exact_count_limit,
            soft_delete=self.soft_delete,
            history=self.history,
            recorded_owner=self.owner,
            slo_ms=self.slo_ms,
            steps=check_steps(self.model, columns, self.steps, self.operations),
        )

    def _is_written(self) -> bool:
        """Return whether an operation or a step of the line writes."""
        return bool(set(self.operations) - {"list", "get"}) or self.steps != ()

    def _check_callers(self, columns: dict[str, Column]) -> None:
        """Check the policies and the owner."""
        check_policy(self.model, read=self.read, write=self.write)
        check_owner(self.model, columns, self.owner)
        check_key(self.model, columns, self.owner)

    def _check_rows(self, columns: dict[str, Column]) -> None:
        """Check the options that name columns, and the limits."""
        check_timestamps(self.model, columns)
        check_defaults(self.model, columns)
        check_filters(self.model, columns)
        check_search(self.model, columns, self.search)
        check_no_overlap(self.model, columns)
        check_exact_count_limit(self.model, self.exact_count_limit)

    def _check_operations(self) -> None:
        """Check the operations, and the options that need certain operations."""
        check_operations(self.model, self.operations)
        check_history(self.model, self.operations, soft_delete=self.soft_delete, history=self.history)
        check_extra_fields(self.model, self.crud, self.operations)
        check_verbs(self.model, self.crud, self.operations)
        check_slo(self.model, self.slo_ms)
