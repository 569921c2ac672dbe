"""Tests of categories, books, reviews and stock."""
