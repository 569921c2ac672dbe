"""What autogenerate compares by rules of the engine: column types, check constraints, conditions of indexes."""
