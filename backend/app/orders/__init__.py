"""Carts and orders of the bookstore."""
