"""Tests of `rowhouse.load`."""
