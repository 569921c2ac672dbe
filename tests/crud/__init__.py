"""The engine: what its contract suite over HTTP cannot reach."""
