"""The settings of bookings. `.env.example` explains them."""

from typing import Annotated

from pydantic import Field

from rowhouse import ProjectSettings


class BookingSettings(ProjectSettings):
    """When a booking may start, how long it may be, and how long it holds its slot before it is confirmed."""

    booking_min_minutes: Annotated[int, Field(ge=1)] = 5
    booking_max_hours: Annotated[int, Field(ge=1)] = 24
    booking_max_days_ahead: Annotated[int, Field(ge=1)] = 90
    booking_hold_minutes: Annotated[int, Field(ge=1)] = 15
    booking_early_minutes: Annotated[int, Field(ge=0)] = 15


SETTINGS = BookingSettings()
