"""Measure writes during an index build: `python -m perf.index_build`. The program is `perf.app.micro.index_build`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.index_build")
