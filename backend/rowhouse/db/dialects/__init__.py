"""What PostgreSQL and SQLite need of their own: connections, libpq, and schemas on SQLite."""
