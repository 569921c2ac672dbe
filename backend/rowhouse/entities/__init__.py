"""Declarations of a developer: entities, marks of columns, `NoOverlap`, `SearchIndex` and transitions."""
