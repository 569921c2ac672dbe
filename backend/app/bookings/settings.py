"""The settings of bookings. `.env.example` explains each."""

from typing import Annotated

from pydantic import Field

from rowhouse import ProjectSettings


class BookingSettings(ProjectSettings):
    """When a booking may begin, how long it lasts, and how long it is held unconfirmed."""

    booking_min_minutes: Annotated[int, Field(ge=1)] = 5
    booking_max_hours: Annotated[int, Field(ge=1)] = 24
    booking_max_days_ahead: Annotated[int, Field(ge=1)] = 90
    booking_hold_minutes: Annotated[int, Field(ge=1)] = 15
    booking_early_minutes: Annotated[int, Field(ge=0)] = 15


SETTINGS = BookingSettings()
