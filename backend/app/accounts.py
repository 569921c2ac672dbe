"""The roles of this product's accounts."""

from enum import StrEnum

from rowhouse import role


class Role(StrEnum):
    """A role of an account."""

    USER = "user"
    DRIVER = "driver"
    ADMIN = "admin"


DRIVER = role(Role.DRIVER, Role.ADMIN)
