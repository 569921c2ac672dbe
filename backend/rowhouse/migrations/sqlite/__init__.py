"""Migrations on SQLite: rebuilding tables without losing anything."""
