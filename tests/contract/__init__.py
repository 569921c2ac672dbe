"""The contract suite: tests over every registered entity, on both databases."""
