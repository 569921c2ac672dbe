"""Writing and running migrations. The application itself does not import it."""
