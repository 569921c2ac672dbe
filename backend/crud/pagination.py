"""The envelope of a list: fastapi-pagination's page and parameters, with a cursor beside them."""

from typing import Generic, TypeVar

from fastapi_pagination import Page as NumberedPage

T = TypeVar("T")
MAX_SIZE = 100
DEFAULT_SIZE = 50
MAX_PAGE = 1_000_000_000


class Page(NumberedPage[T], Generic[T]):
    """One page of rows; `total` counts every row that the filters select."""


def page_members(*, total: int, offset: int, limit: int) -> dict[str, int]:
    """`total`, `page`, `size` and `pages` of the page that begins after `offset` rows."""
    return {"total": total, "page": offset // limit + 1, "size": limit, "pages": -(-total // limit)}
