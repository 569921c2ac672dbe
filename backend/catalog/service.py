"""What is special about books."""

from typing import ClassVar

from backend.catalog.models import Book
from backend.crud.base import CRUDBase


class BookCRUD(CRUDBase[Book]):
    """Books, with two filters under names that shops use."""

    filter_aliases: ClassVar[dict[str, str]] = {"min_price": "price__gte", "max_price": "price__lte"}
