"""Writes the classes and the registration lines of the tables that a database has: `rowhouse adopt`."""
