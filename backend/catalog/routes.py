"""Taking books from stock."""

from typing import Annotated

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from backend.catalog import service
from backend.catalog.models import Book
from backend.core.dependencies import CallerDep, SessionDep
from backend.core.openapi import problem_responses, response_header
from backend.core.routing import Router
from backend.crud.base import version_tag
from backend.crud.registry import public_schema

BookPublic = public_schema(Book)
BookId = Annotated[int, Path(alias="id", ge=-(2**31), lt=2**31, description="The id of the Book.")]
TAGGED = response_header("ETag", "The version of the row, for `If-Match` and `If-None-Match`.")
PROBLEMS = problem_responses(400, 401, 403, 404, 413, 415, 422, 503)

books = Router(prefix="/books", tags=["books"])


class StockTaking(BaseModel):
    """How many copies are taken."""

    model_config = ConfigDict(strict=True, extra="forbid")

    quantity: Annotated[int, Field(ge=1, le=service.MOST_STOCK)]


@books.post("/{id}/stock", response_model=BookPublic, responses={200: {"headers": TAGGED}, **PROBLEMS})
def take_book_stock(
    book_id: BookId, body: StockTaking, caller: CallerDep, session: SessionDep, response: Response
) -> Book:
    """Take copies of a book from its stock; 400 says how many there are where they are too few. Administrators only."""
    book = service.take_stock(session, caller, book_id, body.quantity)
    response.headers["ETag"] = version_tag(book.model_dump())
    return book
