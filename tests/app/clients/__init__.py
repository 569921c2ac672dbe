"""Tests of clients that are generated from the product's OpenAPI document."""
