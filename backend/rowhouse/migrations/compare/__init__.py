"""Comparisons that autogenerate makes by rules of the engine: column types, check constraints, indexes."""
