"""The command `rowhouse`: create a project and its entities, migrate, check, serve, describe, generate clients."""
