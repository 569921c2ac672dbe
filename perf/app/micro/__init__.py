"""Measure one aspect each: bursts, cursors, growth, search, batches, transfers, indexes, a pooler, many entities."""
