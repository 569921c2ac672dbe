"""Limits and rules of single requests: headers, bodies, rates, idempotency keys and paths."""
