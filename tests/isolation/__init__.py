"""Tests of ownership: no request shows or changes the private row of another account."""
