"""Tests of accounts, sessions and their administration."""
