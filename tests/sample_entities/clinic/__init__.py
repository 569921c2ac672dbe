"""A veterinary clinic: a project of fourteen entities, as a newcomer writes it."""
