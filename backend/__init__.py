"""Rowhouse: a SQLModel class becomes a production REST API with one line."""

__version__ = "0.1.0"
