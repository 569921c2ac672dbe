"""Send many requests in the same instant: `python -m perf.burst`. The program is `perf.app.micro.burst`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.burst")
