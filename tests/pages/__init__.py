"""Tests of cursors, batches, estimated totals, entity tags and idempotency keys."""
