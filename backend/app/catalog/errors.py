"""The errors of the stock."""

from rowhouse import ConflictError, InvalidRequestError


class InsufficientStockError(InvalidRequestError):
    """400: fewer copies are in stock than wanted. `title` names the book if there are several."""

    code = "insufficient_stock"

    def __init__(self, available: int, title: str | None = None) -> None:
        reason = "Insufficient stock" if title is None else f'Insufficient stock of "{title}"'
        super().__init__(f"{reason}. Available: {available}")


class StockFullError(ConflictError):
    """409: the stock would be greater than its column can hold."""

    code = "stock_full"
    default_detail = "The stock of a book would be too large; reduce it first."
