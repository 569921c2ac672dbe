"""Measure the cost of a hundred entities: `python -m perf.entities`. The program is `perf.app.micro.entities`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.entities")
