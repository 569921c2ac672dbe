"""The errors of bookings."""

from rowhouse import ConflictError, OverlapError


class SlotTakenError(OverlapError):
    """409: another live booking overlaps this one."""

    code = "slot_taken"
    default_detail = "Slot already booked"


class ChargePointUnavailableError(ConflictError):
    """409: the charge point is in maintenance or retired."""

    code = "charge_point_unavailable"
    default_detail = "This charge point cannot be booked at present."


class BookingClosedError(ConflictError):
    """409: the state of the booking does not allow the change."""

    code = "booking_closed"
    default_detail = "Only a pending or confirmed booking can be changed."
