"""The relations between the product's entities, as `expand` names them."""

from app.api import registry
from rowhouse.registration.relations import relations_of


def test_each_entity_has_its_relations() -> None:
    """A reference bears the name of its column, the way back the plural; accounts have their rows."""
    lines = registry.registrations
    readable = {path for path, line in lines.items() if "list" in line.operations}
    found = relations_of([line.resource for line in lines.values()], readable=readable)
    names = {path: set(relations) for path, relations in found.items()}
    assert names["books"] == {"category", "reviews", "cart_items"}
    assert names["orders"] == {"customer"}
    assert names["categories"] == {"books"}
    assert names["bookings"] == {"charge_point", "driver", "vehicle"}
    assert names["users"] == {"bookings", "cart_items", "orders", "reviews", "vehicles"}
