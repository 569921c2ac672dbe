"""CRUDBase: the verbs on rows, their hooks, batches and validation."""
