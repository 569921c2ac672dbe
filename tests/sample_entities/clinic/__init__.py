"""A veterinary clinic: a project of twelve entities, as a newcomer writes it."""
