"""Tests of `perf` that need no product. Locust itself is not imported: it would patch this process's threads."""
