"""Benchmarks of the product. Delete this package together with `backend/app`; the rest of `perf` does not need it."""
