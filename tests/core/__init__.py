"""Tests of the core: settings, database, door, errors, routing and what every answer carries."""
