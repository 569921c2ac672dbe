"""Tests of programs that measure the product. They start many servers, so `scripts/test-world` runs them."""
