"""Measurements of Rowhouse against other ways to write the same API. Nothing here is imported by the product."""
