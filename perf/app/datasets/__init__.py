"""Fill databases of the product with generated rows, with SQL and not through the application."""
