"""What autogenerate compares beyond Alembic: rules, indexes, types, checks and schemas."""
