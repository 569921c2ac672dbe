"""Tests of attacks. Each one must fail, and succeeds without the guard against it."""
