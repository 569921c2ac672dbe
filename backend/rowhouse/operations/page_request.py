"""One request for a page: parses its query, and writes the JSON envelope around the rows."""

from typing import Any

from starlette.responses import Response

from rowhouse.core.openapi import response_header
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.list_parameters import ListParameters
from rowhouse.sql.pages import ResultPage

JSON = "application/json"
TOTAL = response_header(
    "X-Total-Count", "The `total` of the list, in responses to HEAD too. Absent with a cursor.", required=False
)


class PageRequest:
    """A request for a page of a list. `query` says which rows.

    Cursors are signed for `path`, so that one list does not accept those of another.
    """

    __slots__ = ("_parameters", "_signing", "query")

    def __init__(self, query_string: bytes, parameters: ListParameters, *, path: str, unit: UnitOfWork) -> None:
        """Parse the query string.

        Raises:
            InvalidInputError: 422 for an unknown, repeated or malformed parameter, or a cursor of another list.
        """
        self._parameters = parameters
        self._signing: dict[str, Any] = {"path": path, "secret": unit.settings.jwt_secret.get_secret_value()}
        self.query = parameters.parse(query_string, **self._signing)

    def end_of(self, page: ResultPage) -> bytes:
        """Return the members after the rows: the totals and the next cursor. Behind a cursor the total is unknown.

        Call it before anything changes the rows: the cursor holds the stored values of the last one.
        """
        offset, limit = self.query.offset, self.query.limit
        if page.total is None:
            members = f'"total":null,"page":null,"size":{limit},"pages":null'
        else:
            pages = -(-page.total // limit)
            members = f'"total":{page.total},"page":{offset // limit + 1},"size":{limit},"pages":{pages}'
        if page.is_estimate:
            members += ',"total_is_estimate":true'
        if not page.more:
            return f',{members},"next_cursor":null}}'.encode()
        cursor = self._parameters.next_cursor(self.query, page.rows[-1], **self._signing)
        return f',{members},"next_cursor":"{cursor}"}}'.encode()


def page_response(items: bytes, end: bytes, *, total: int | None) -> Response:
    """Return the page with its rows, given as a JSON array, and the end of its envelope. The total is a header too."""
    return Response(b'{"items":' + items + end, headers=total_header(total), media_type=JSON)


def total_header(total: int | None) -> dict[str, str] | None:
    """Return the header with the total of a list, or None behind a cursor."""
    return None if total is None else {"X-Total-Count": str(total)}
