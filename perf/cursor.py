"""Measure cursor pages anywhere in a list: `python -m perf.cursor`. The program is `perf.app.micro.cursor`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.cursor")
