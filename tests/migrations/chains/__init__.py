"""Random chains of class changes: schemas, what may change in them, their rows, and how migrations follow."""
