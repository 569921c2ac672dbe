"""Starters of other people's servers, each in a temporary directory and on a free loopback port, stopped with its block."""
