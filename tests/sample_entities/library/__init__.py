"""A library: entities with `Relationship`s of every kind, and filters across them."""
