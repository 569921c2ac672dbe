"""Exports and imports: streams, files, lanes and what happens when either end fails."""
