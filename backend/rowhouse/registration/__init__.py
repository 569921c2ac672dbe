"""Registration: one line for each entity, checked at start-up, and the routes made from it."""
