"""Measure what PgBouncer costs: `python -m perf.pooler`. The program is `perf.app.micro.pooler`."""

from perf.product import run

if __name__ == "__main__":
    run("micro.pooler")
