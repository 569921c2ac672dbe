"""Unusual entities and their registry. The engine must serve them like the product's."""
