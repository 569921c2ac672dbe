"""Deleted rows and the change history."""
