"""Attacks: each test is one that must not succeed, and fails when the guard against it is taken away."""
