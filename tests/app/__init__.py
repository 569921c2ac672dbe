"""Tests of the product: the bookstore and the charging network."""
