"""Tests of the engine that the contract suite over HTTP cannot cover."""
