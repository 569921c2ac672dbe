"""The engine: from a SQLModel class to its endpoints. Knows SQLModel and FastAPI, never an entity."""
