"""Measure what a batch of 20 elements costs: `python -m perf.batches`. The program is `perf.app.micro.batches`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.batches")
