"""Measure searches in a large table: `python -m perf.search`. The program is `perf.app.micro.search`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.search")
