"""Measure exports and imports of many rows: `python -m perf.transfer`. The program is `perf.app.micro.transfer`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.transfer")
