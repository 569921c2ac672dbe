"""Fuzz tests: schemathesis calls the whole API on real server processes."""
