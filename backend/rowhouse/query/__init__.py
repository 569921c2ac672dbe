"""From a query string to a list query: filters, cursors, projections and pagination."""
