"""The bookstore's counter: carts and orders."""
