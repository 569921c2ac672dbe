"""One suite that runs over every registered entity, ours and the odd ones, on both databases."""
