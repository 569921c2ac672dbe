"""Parse a query string into a list query: filters, cursors, projections and pagination."""
