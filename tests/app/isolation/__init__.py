"""The isolation suite over the entities of the product."""
