"""The whole API under schemathesis, on real server processes."""
