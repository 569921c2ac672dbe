"""Counts requests and other events for `/metrics`. No dependency, no lock, and exact over several processes."""
