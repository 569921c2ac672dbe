"""Exports and imports as CSV and NDJSON."""
