"""Measure the first requests of a server: `python -m perf.first_page`. The program is `perf.app.micro.first_page`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.first_page")
