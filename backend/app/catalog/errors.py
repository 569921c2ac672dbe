"""What can stand in the way of taking books from the shelf, or of putting them back."""

from rowhouse import ConflictError, InvalidRequestError


class InsufficientStockError(InvalidRequestError):
    """400: fewer are in stock than are wanted; `title` names the book where several are."""

    code = "insufficient_stock"

    def __init__(self, available: int, title: str | None = None) -> None:
        what = "Insufficient stock" if title is None else f'Insufficient stock of "{title}"'
        super().__init__(f"{what}. Available: {available}")


class StockFullError(ConflictError):
    """409: there would be more of a book than can be counted."""

    code = "stock_full"
    default_detail = "There would be more of a book in stock than can be counted; take some from its stock first."
