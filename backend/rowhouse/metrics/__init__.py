"""Counts what an application does, for `/metrics`: no dependency, no lock, and exact over several processes."""
