"""The route that takes books from stock."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from app.catalog import service
from app.catalog.models import Book
from app.catalog.service import BookCRUD
from rowhouse import TAGGED, CallerDep, Router, SessionDep, crud_of, problem_responses, public_schema, row_id

BookPublic = public_schema(Book)
BooksDep = Annotated[BookCRUD, crud_of(Book)]
BookId = Annotated[int, row_id("Book")]

books = Router(prefix="/books", tags=["books"])


class StockTaking(BaseModel):
    """How many copies to take."""

    model_config = ConfigDict(strict=True, extra="forbid")

    quantity: Annotated[int, Field(ge=1, le=service.MAX_STOCK)]


@books.post("/{id}/stock", response_model=BookPublic, responses={200: {"headers": TAGGED}, **problem_responses(400)})
def take_book_stock(
    book_id: BookId, body: StockTaking, crud: BooksDep, caller: CallerDep, session: SessionDep, response: Response
) -> Book:
    """Take copies of a book from its stock.

    If there are too few, the error (400) says how many. Requires the role admin.
    """
    book = service.take_stock(session, caller, book_id, body.quantity)
    response.headers["ETag"] = crud.version(book.model_dump())
    return book
