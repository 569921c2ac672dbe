"""The policies of the product's operations."""
