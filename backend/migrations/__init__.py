"""What Alembic has to know of the engine, and how a migration is run. The application itself must not need it."""
