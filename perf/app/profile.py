"""What a load run must know about the product beyond its OpenAPI document."""

from perf.app.compare.targets import FACTORY
from perf.app.datasets.load_rows import populate
from rowhouse.load.profile import Profile

PROFILE = Profile(
    title="Rowhouse",
    factory=FACTORY,
    # The administrator of the demo.
    admin_email="admin@example.com",
    admin_password="rowhouse-demo",  # noqa: S106  public, and refused outside development
    populate=populate,
    steps_before={"POST /orders": ("POST /cart-items",)},
    # A booking can be started from BOOKING_EARLY_MINUTES before its time.
    starting_soon=frozenset({"POST /bookings/{id}/start", "POST /bookings/{id}/complete"}),
    consumed={"POST /orders": "/api/v1/cart-items"},
    # A booking that nobody confirms is closed after BOOKING_HOLD_MINUTES.
    expected_conflicts={"booking_closed": 15 * 60 - 5},
    amounts={"stock": 1_000_000, "quantity": 1},
)
