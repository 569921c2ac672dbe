"""Tests of the runtime below the generated operations: settings, databases, workers, errors, routing and middleware."""
