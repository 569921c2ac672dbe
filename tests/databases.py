"""The databases of `rowhouse.testing`, for this repository's own tests."""

from rowhouse.testing.databases import BACKENDS, ORDINARY_ROLE, Databases, WheelServer

__all__ = ["BACKENDS", "ORDINARY_ROLE", "Databases", "WheelServer"]
