"""The hand-written routes of the product: the owner of each row, a valid body, and the errors of other callers."""

from tests.security.hand_written import OWN_ACCOUNT, PROBES, SIGNING_IN, HandWritten, book

PRODUCT_ROUTES = HandWritten(
    probes=PROBES,
    own={
        ("post", "/cart-items"): lambda attacked: {"book_id": book(attacked), "quantity": 1},
        ("post", "/orders"): None,
        **OWN_ACCOUNT,  # a new password comes last: it ends the session
    },
    # Anyone reads charge points, and their free times name no driver.
    open_to_anyone={**SIGNING_IN, ("get", "/charge-points/{id}/availability"): None},
)
