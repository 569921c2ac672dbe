"""The response of a list: fastapi-pagination's page with a cursor."""

from typing import Generic, Literal, TypeVar

from fastapi_pagination import Page as NumberedPage
from pydantic import MISSING

T = TypeVar("T")
MAX_SIZE = 100
DEFAULT_SIZE = 50
MAX_PAGE = 1_000_000_000


class Page(NumberedPage[T], Generic[T]):
    """One page of rows. `total` counts every row that the filters select; with a cursor it is null."""

    total: int | None  # type: ignore[assignment]  # nothing is counted with a cursor
    page: int | None  # type: ignore[assignment]  # as above
    pages: int | None  # type: ignore[assignment]  # as above
    next_cursor: str | None


class EstimatedPage(Page[T], Generic[T]):
    """A page whose total may be an estimate. Only then it has `total_is_estimate`."""

    total_is_estimate: Literal[True] | MISSING = MISSING


# OpenAPI names it like any other page: clients see one kind of page.
EstimatedPage.__name__ = EstimatedPage.__qualname__ = Page.__name__
