"""Load every operation of an OpenAPI document: `python -m perf.load`, or `scripts/perf`."""
