"""Writes and runs migrations, and contains those of the engine. The application itself does not import it."""
