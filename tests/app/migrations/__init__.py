"""Tests of the product's migrations."""
