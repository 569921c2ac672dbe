"""Derived from a table class: its columns, their types in JSON, and the schemas of requests and responses."""
