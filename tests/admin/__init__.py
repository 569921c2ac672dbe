"""Tests of the pages at `/admin`, over HTTP, as a browser without scripts sees them."""
