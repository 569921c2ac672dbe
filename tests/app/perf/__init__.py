"""Tests of `perf.app`, and of the load test on the product's OpenAPI document."""
