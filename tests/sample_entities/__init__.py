"""Entities that only tests use, each group with a registry and a metadata of its own."""
