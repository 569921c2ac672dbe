"""Measure a start with many entities: `python -m perf.start`. The program is `perf.app.micro.start`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.start")
