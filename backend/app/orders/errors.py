"""The errors of carts and orders."""

from rowhouse import ConflictError, InvalidRequestError


class EmptyCartError(InvalidRequestError):
    """400: the cart has no items."""

    code = "empty_cart"
    default_detail = "The cart is empty; put a book into it with POST /cart-items first."


class OrderTooLargeError(InvalidRequestError):
    """400: the total has more digits than an amount can have."""

    code = "order_too_large"
    default_detail = "The total has more digits than an amount can have; take something out of the cart."


class CartFullError(ConflictError):
    """409: no further book, or no further copy of a book, fits into the cart."""

    code = "cart_full"
    default_detail = "The cart is full; order what is in it, or take something out."
