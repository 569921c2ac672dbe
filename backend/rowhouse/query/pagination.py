"""The envelope of a list: fastapi-pagination's page and parameters, with a cursor beside them."""

from typing import Generic, Literal, TypeVar

from fastapi_pagination import Page as NumberedPage
from pydantic import MISSING

T = TypeVar("T")
MAX_SIZE = 100
DEFAULT_SIZE = 50
MAX_PAGE = 1_000_000_000


class Page(NumberedPage[T], Generic[T]):
    """One page of rows; `total` counts every row that the filters select, and is null behind a cursor."""

    total: int | None  # type: ignore[assignment]  # a page behind a cursor does not count
    page: int | None  # type: ignore[assignment]  # nor has it a number
    pages: int | None  # type: ignore[assignment]  # as above
    next_cursor: str | None


class EstimatedPage(Page[T], Generic[T]):
    """A page of a list whose total is estimated past a bound; then it has `total_is_estimate`, and else has not."""

    total_is_estimate: Literal[True] | MISSING = MISSING


# OpenAPI calls it by the name of any other page: to a client there is one kind.
EstimatedPage.__name__ = EstimatedPage.__qualname__ = Page.__name__
