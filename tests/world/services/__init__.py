"""Starts servers of other projects, each in a temporary directory and on a free loopback port, and stops them."""
