"""Entities that own the rows of others, for nested writes."""
