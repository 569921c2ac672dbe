"""The bookstore's shelves: categories and books."""
