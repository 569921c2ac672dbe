"""The product's migrations."""
