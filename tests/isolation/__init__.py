"""Owners and other callers: no request shows or changes the private row of another account."""
