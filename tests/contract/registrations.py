"""The entities that the suite runs over: every line of both tables of contents."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from app.api import registry as product
from rowhouse.registration.registry import Registration, Registry
from tests.sample_entities.odd.registry import registry as odd

REGISTRIES: dict[str, Registry] = {"product": product, "odd": odd}


@dataclass(frozen=True)
class Case:
    """One entity of one table of contents."""

    side: str
    path: str

    @property
    def registration(self) -> Registration:
        """Its line."""
        return REGISTRIES[self.side].registrations[self.path]

    def __str__(self) -> str:
        return f"{self.side}-{self.path}"


CASES = [Case(side, path) for side, registry in REGISTRIES.items() for path in registry.registrations]


def every_house(
    *operations: str, where: Callable[[Registration], bool] = lambda _registration: True
) -> pytest.MarkDecorator:
    """Run a test over every entity that has these operations and for which `where` holds."""
    chosen = [c for c in CASES if set(operations) <= set(c.registration.operations) and where(c.registration)]
    return pytest.mark.parametrize("house", chosen, indirect=True, ids=str)


def columns_unlike(registration: Registration) -> bool:
    """Whether it has columns that no other entity has; the defaults of `Preset` make no difference to a list."""
    return registration.resource.path != "presets"
