"""Has the bodies of hand-written routes judged without telling more faults than anybody reads.

FastAPI writes one entry, with the whole input in it, for each fault: a megabyte of misspelt members would cost seconds of everybody's
time on the event loop, and be answered with five megabytes.
"""

from functools import partial
from typing import Any

from fastapi._compat import ModelField
from fastapi.dependencies.models import Dependant
from pydantic import ValidationError

from rowhouse.core.errors import InvalidInputError


def validate_bodies(dependant: Dependant) -> None:
    """Replace how FastAPI validates the body of a route and of its dependencies."""
    for field in dependant.body_params:
        field.validate = partial(_validate, field)  # type: ignore[method-assign]  # FastAPI has no hook for it
    for dependency in dependant.dependencies:
        validate_bodies(dependency)


def _validate(
    field: ModelField, value: Any, _values: dict[str, Any], *, loc: tuple[str | int, ...]
) -> tuple[Any, list[Any]]:
    """The valid value, or FastAPI's list of faults."""
    try:
        return field._type_adapter.validate_python(value, from_attributes=True), []  # noqa: SLF001  as ModelField.validate does
    except ValidationError as error:
        return None, InvalidInputError.from_pydantic(error, *loc).errors
