"""Categories, books and reviews of the bookstore."""
