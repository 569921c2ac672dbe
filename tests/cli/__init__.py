"""Tests of the command `rowhouse`."""
