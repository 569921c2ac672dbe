"""The contract suite over the entities of the product."""
