"""Tests of the policies of the product's operations."""
