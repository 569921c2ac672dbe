"""Writes and runs migrations; holds the engine's own. The application itself does not import it."""
