"""Writes code: a new project, and a new entity in a project."""
