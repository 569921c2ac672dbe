"""The commands: serve, migrate, create an administrator."""
