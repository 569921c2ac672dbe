"""Databases: engines, the unit of work, compiled statements, integrity errors and SQL functions."""
