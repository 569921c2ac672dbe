"""Valid values for the schemas of an OpenAPI document."""

from collections.abc import Mapping
from typing import Any

from rowhouse.testing.bodies.values import Schema, Values, nullable

__all__ = ["Bodies", "Schema", "nullable"]


class Bodies(Values):
    """Makes values for the schemas of one OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._schemas: Mapping[str, Schema] = document["components"]["schemas"]
        super().__init__(self._schemas)

    def members(self, name: str) -> Mapping[str, Schema]:
        """Return the members of a schema by its name, such as `BookCreate`; empty if there is no such schema."""
        members: Mapping[str, Schema] = self._schemas.get(name, {}).get("properties", {})
        return members

    def required(self, name: str) -> list[str]:
        """Return the required members."""
        return list(self._schemas.get(name, {}).get("required", ()))
