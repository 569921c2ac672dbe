"""The hand-written routes of the product: whose row each is about, a valid body, and how other callers are refused."""

from tests.security.hand_written import (
    OWN_ACCOUNT,
    SIGNING_IN,
    STEP_LATER,
    STEPS,
    HandWritten,
    Probe,
    book,
    booking,
    make,
)
from tests.security.stage import Stage


def order(stage: Stage) -> int:
    """A placed one of the owner's."""
    return make(stage.running_app.entity("orders"), stage.owner)


PRODUCT_ROUTES = HandWritten(
    probes={
        **STEPS,
        **{
            ("post", f"/bookings/{{id}}/{step}"): Probe(row=booking, stranger=404, granted=STEP_LATER)
            for step in ("start", "complete")
        },
        **{
            ("post", f"/orders/{{id}}/{step}"): Probe(row=order, stranger=404, granted=STEP_LATER)
            for step in ("cancel", "ship", "deliver")
        },
    },
    own={
        ("post", "/cart-items"): lambda stage: {"book_id": book(stage), "quantity": 1},
        ("post", "/orders"): None,
        **OWN_ACCOUNT,  # a new password comes last: it ends the session
    },
    # Anyone reads charge points, and their free times name no driver.
    open_to_anyone={**SIGNING_IN, ("get", "/charge-points/{id}/availability"): None},
)
