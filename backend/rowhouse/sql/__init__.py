"""From a list query to compiled SQL: statements, pages and totals."""
