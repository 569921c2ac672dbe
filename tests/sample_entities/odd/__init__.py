"""Entities that nobody expects, and their table of contents: the engine must serve them as it serves our own."""
