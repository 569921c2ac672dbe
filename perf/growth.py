"""Measure what a request costs as its table grows: `python -m perf.growth`. The program is `perf.app.micro.growth`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.growth")
