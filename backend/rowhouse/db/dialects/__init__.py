"""The parts that differ between databases: connections to PostgreSQL, libpq, and schemas on SQLite."""
